-- Makes sure that the next ticket is above every ticket ever given.
--
-- ARGV: highest decided ticket, margin, the take-over by which this server became the master or '-', then the lanes that
--       are paused
-- Reply: {1 if the counter was raised, the counter, 1 if it was missing}
local highest, margin = tonumber(ARGV[1]), tonumber(ARGV[2])
local counter = tonumber(call('HGET', COUNTER, 'ticket') or -1)
local missing = counter < 0
local take_over = ARGV[3]
local just_took_over = take_over ~= '-' and call('HGET', COUNTER, 'take_over') ~= take_over
-- Whoever lacks data may lack the last pause, or the end of one.
if missing or just_took_over then
  local meant = {}
  for at = 4, #ARGV do
    meant[ARGV[at]] = true
    if call('SISMEMBER', PAUSED, ARGV[at]) == 0 then hold_lane(ARGV[at]) end
  end
  for _, lane in ipairs(call('SMEMBERS', PAUSED)) do
    if not meant[lane] then free_lane(lane) end
  end
end
-- A server that took over may lack the last tickets that its predecessor gave, and nobody may be given one of them again.
if not missing and counter >= highest and not just_took_over then return {0, whole(counter), 0} end
-- A shop that never decided anything starts at ticket 1.
if highest > 0 or not missing then counter = math.max(highest, counter) + margin else counter = 0 end
if just_took_over then call('HSET', COUNTER, 'take_over', take_over, 'unsure', whole(counter)) end
local clock = math.max(now_us(), tonumber(call('HGET', COUNTER, 'clock') or 0))
call('HSET', COUNTER, 'ticket', whole(counter), 'clock', whole(clock))
wake()
return {1, whole(counter), missing and 1 or 0}
