-- Makes sure that the next ticket is above every ticket ever given.
--
-- ARGV: highest decided ticket, margin, the take-over by which this server became the master or '-', then the lanes that
--       are paused
-- Reply: {1 if the counter was raised, the counter, 1 if it was missing}
local highest, margin = tonumber(ARGV[1]), tonumber(ARGV[2])
local counter = tonumber(call('HGET', COUNTER, 'ticket') or -1)
local missing = counter < 0
if missing then
  for at = 4, #ARGV do call('SADD', PAUSED, ARGV[at]) end
end
-- A server that took over may lack the last tickets that its predecessor gave, and nobody may be given one of them again.
local take_over = ARGV[3]
local just_took_over = take_over ~= '-' and call('HGET', COUNTER, 'take_over') ~= take_over
if not missing and counter >= highest and not just_took_over then return {0, whole(counter), 0} end
-- A shop that never decided anything starts at ticket 1.
if highest > 0 or not missing then counter = math.max(highest, counter) + margin else counter = 0 end
if just_took_over then call('HSET', COUNTER, 'take_over', take_over) end
local clock = math.max(now_us(), tonumber(call('HGET', COUNTER, 'clock') or 0))
call('HSET', COUNTER, 'ticket', whole(counter), 'clock', whole(clock))
return {1, whole(counter), missing and 1 or 0}
