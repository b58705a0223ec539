-- ARGV: id
-- Reply: {} if unknown; {'decided', outcome};
--        {'waiting', ticket, acceptedAt, 1 if in a leased batch, commands ahead on the longest lane, envelope}
local id = ARGV[1]
local record = call('HGET', RECORDS, id)
if not record then
  local outcome = call('HGET', outcomes_key(time_of(id)), id)
  return outcome and {'decided', outcome} or {}
end
local ticket, clock, envelope = string.match(record, '^(%d+) (%d+) [^\n]*\n(.*)$')
local position = 0
for _, lane in ipairs(lanes_in(record)) do position = math.max(position, call('ZRANK', lane_key(lane), id)) end
return {'waiting', ticket, clock, in_flight(id) and 1 or 0, position, envelope}
