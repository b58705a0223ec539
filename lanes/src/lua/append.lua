-- Acceptance, the only one: several commands, each all or nothing, in the order given.
--
-- ARGV: depth_max, lane_depth_max, then per command: id, key digest or '-', body hash or '-', gate lane or '-',
--       number of lanes, lanes…, envelope
-- Reply per command: {what, id, ticket, acceptedAt, position}; what is one of
--       accepted   in line now, or already before (same id)
--       decided    the same id, whose outcome is known
--       repeated   the key belongs to the request `id`, with the same body
--       reused     the key belongs to a request with another body
--       closed     the gate says a certain no
--       full       the group or one of the lanes is full
--   or once, for all: {unseeded}: this Redis does not know the tickets; seed first.
local counter = call('HMGET', COUNTER, 'ticket', 'clock')
if not counter[1] then return {{'unseeded'}} end
local ticket, clock = tonumber(counter[1]), tonumber(counter[2])
-- Whoever waits was here before: a counter that was set back must not let a newcomer pass.
local newest = call('ZRANGE', LINE, -1, -1, 'WITHSCORES')[2]
if newest and tonumber(newest) > ticket then ticket = tonumber(newest) end
local now = now_us()
local depth = call('ZCARD', LINE)
local depth_max, lane_depth_max = tonumber(ARGV[1]), tonumber(ARGV[2])

-- What this call adds is collected and written at the end, with one command per key and not per newcomer.
local accepted = {}                                    -- id -> its reply
local records, line, ready, waiting = {}, {}, {}, {}
local joined = {}                                      -- lane -> the newcomers in it, as ZADD takes them
local length = {}                                      -- lane -> how many stand in it, newcomers included

local function known(id)
  if accepted[id] then return accepted[id] end
  local record = call('HGET', RECORDS, id)
  if record then
    local its_ticket, its_clock = string.match(record, '^(%d+) (%d+) ')
    local position = 0
    for _, lane in ipairs(lanes_in(record)) do
      position = math.max(position, call('ZRANK', lane_key(lane), id))
    end
    return {'accepted', id, its_ticket, its_clock, position}
  end
  if call('HEXISTS', outcomes_key(id), id) == 1 then return {'decided', id} end
  return nil
end

local keys = {}                                        -- digest -> the newcomer that it belongs to, and its body
local function bound(digest, body)
  if digest == '-' then return nil end
  local first = keys[digest] or call('GET', key_key(digest))
  if not first then return nil end
  local id, its_body = string.match(first, '^(%S+) (%S+)$')
  if its_body == body then return {'repeated', id} end
  return {'reused', id}
end

local gates = {}
local function closed(gate)
  if gate == '-' then return nil end
  if gates[gate] == nil then
    local numbers = call('HMGET', prefix .. 'gate:' .. gate, 'used', 'limit')
    gates[gate] = numbers[1] and numbers[2] and tonumber(numbers[1]) >= tonumber(numbers[2]) or false
  end
  return gates[gate] and {'closed', ''} or nil
end

local function learn_lengths(lanes)
  local unknown = {}
  for _, lane in ipairs(lanes) do
    if not length[lane] then unknown[#unknown + 1] = lane end
  end
  if #unknown == 0 then return end
  local found = call('ZMSCORE', LENGTHS, unpack(unknown))
  for i, lane in ipairs(unknown) do length[lane] = tonumber(found[i] or 0) end
end

local function push(list, a, b)
  list[#list + 1] = a
  list[#list + 1] = b
end

local function stand_in_line(id, digest, body, lanes, envelope)
  if depth >= depth_max then return {'full', ''} end
  learn_lengths(lanes)
  local position, behind = 0, 0
  for _, lane in ipairs(lanes) do
    if length[lane] >= lane_depth_max then return {'full', ''} end
    if length[lane] > 0 then behind = behind + 1 end
    position = math.max(position, length[lane])
  end

  ticket = ticket + 1
  clock = math.max(now, clock + 1)
  depth = depth + 1
  local its_ticket, its_clock = string.format('%.0f', ticket), string.format('%.0f', clock)
  local header = {its_ticket, its_clock, digest, body, table.concat(lanes, ' ')}
  push(records, id, table.concat(header, ' ') .. '\n' .. envelope)
  push(line, its_ticket, id)
  for _, lane in ipairs(lanes) do
    length[lane] = length[lane] + 1
    joined[lane] = joined[lane] or {}
    push(joined[lane], its_ticket, id)
  end
  if digest ~= '-' then keys[digest] = id .. ' ' .. body end
  if behind > 0 then
    if #lanes > 1 then push(waiting, id, behind) end
  elseif not is_held(id, lanes) then
    push(ready, its_ticket, id)
  end
  accepted[id] = {'accepted', id, its_ticket, its_clock, position}
  return accepted[id]
end

local replies = {}
local at = 3
while at <= #ARGV do
  local id, digest, body, gate = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local count = tonumber(ARGV[at + 4])
  local lanes = {unpack(ARGV, at + 5, at + 4 + count)}
  local envelope = ARGV[at + 5 + count]
  at = at + 6 + count
  replies[#replies + 1] = known(id) or bound(digest, body) or closed(gate)
    or stand_in_line(id, digest, body, lanes, envelope)
end

call('HSET', COUNTER, 'ticket', string.format('%.0f', ticket), 'clock', string.format('%.0f', clock))
if #records > 0 then
  local lengths = {}
  for lane, newcomers in pairs(joined) do
    in_chunks('ZADD', lane_key(lane), newcomers)
    push(lengths, length[lane], lane)
  end
  in_chunks('HSET', RECORDS, records)
  in_chunks('ZADD', LINE, line)
  in_chunks('ZADD', LENGTHS, lengths)
  in_chunks('HSET', WAITING, waiting)
  in_chunks('ZADD', READY, ready)
  for digest, first in pairs(keys) do call('SET', key_key(digest), first) end
  offered = #ready > 0
  wake()
end
return replies
