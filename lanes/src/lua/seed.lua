-- Makes sure that the next ticket is above every ticket ever given.
--
-- ARGV: highest decided ticket, margin, then the lanes that are paused
-- Reply: {1 if the counter was raised, the counter, 1 if it was missing}
local highest, margin = tonumber(ARGV[1]), tonumber(ARGV[2])
local counter = tonumber(call('HGET', COUNTER, 'ticket') or -1)
local missing = counter < 0
if missing then
  for at = 3, #ARGV do call('SADD', PAUSED, ARGV[at]) end
end
if not missing and counter >= highest then return {0, whole(counter), 0} end
-- A shop that never decided anything starts at ticket 1.
if highest > 0 or not missing then counter = highest + margin else counter = 0 end
local clock = math.max(now_us(), tonumber(call('HGET', COUNTER, 'clock') or 0))
call('HSET', COUNTER, 'ticket', whole(counter), 'clock', whole(clock))
return {1, whole(counter), missing and 1 or 0}
