-- ARGV: id
-- Reply: {} if unknown; {'decided', outcome};
--        {'waiting', ticket, acceptedAt, 1 if in a leased batch, commands ahead on the longest lane, envelope,
--         1 if the archive may hold its outcome nevertheless}
local id = ARGV[1]
-- First the outcome: it may have been told before whoever has the command in a batch acks it.
local outcome = call('HGET', outcomes_key(time_of(id)), id)
if outcome then return {'decided', outcome} end
local record = call('HGET', RECORDS, id)
if not record then return {} end
local ticket, clock, envelope = string.match(record, '^(%d+) (%d+) [^\n]*\n(.*)$')
local position = 0
for _, lane in ipairs(lanes_in(record)) do position = math.max(position, call('ZRANK', lane_key(lane), id)) end
-- A server that took over may lack the ack of whoever came before it did.
local unsure = tonumber(ticket) <= tonumber(call('HGET', COUNTER, 'unsure') or 0)
return {'waiting', ticket, clock, in_flight(id) and 1 or 0, position, envelope, unsure and 1 or 0}
