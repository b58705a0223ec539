-- Gives everybody in line a new ticket above `highest`, in the old order. For the day when tickets went back: a
-- replica that lagged behind, a restored backup. About ten microseconds per lane entry, in one piece, because between
-- two halves the order would be wrong.
--
-- ARGV: highest decided ticket, margin. Reply: how many commands got a new ticket.
local counter = tonumber(call('HGET', COUNTER, 'ticket') or 0)
local shift = tonumber(ARGV[1]) + tonumber(ARGV[2])
local line = call('ZRANGE', LINE, 0, -1, 'WITHSCORES')
for at = 1, #line, 2 do
  local id, ticket = line[at], whole(line[at + 1] + shift)
  local record = call('HGET', RECORDS, id)
  call('HSET', RECORDS, id, ticket .. string.match(record, '^%d+(.*)$'))
  call('ZADD', LINE, ticket, id)
  for _, lane in ipairs(lanes_in(record)) do call('ZADD', lane_key(lane), ticket, id) end
  call('ZADD', READY, 'XX', ticket, id)
  call('ZADD', SUSPECTS, 'XX', ticket, id)
  counter = math.max(counter, line[at + 1])
end
call('HSET', COUNTER, 'ticket', whole(counter + shift))
return #line / 2
