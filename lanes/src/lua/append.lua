-- Acceptance, the only one: several commands, each all or nothing, in the order given.
--
-- ARGV: depth_max, lane_depth_max,
--       how many have an idempotency key, then per key: which command it is (from 1), digest, body hash;
--       how many have a quota, then per quota: which command it is, name, max, for how many milliseconds it is kept;
--       then per command: id, gate lane or '-', number of lanes, lanes…, its record without ticket and time
-- Reply per command: {'accepted', ticket, acceptedAt, position} or {what, id}; what is one of
--       accepted   in line now, or already before (same id)
--       decided    the same id, whose outcome is known
--       repeated   the key belongs to the request `id`, with the same body
--       reused     the key belongs to a request with another body
--       closed     the gate says a certain no
--       full       the group is full
--       lane_full  one of its lanes is full
--       used_up    its quota lets no more in
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

-- The commands as they came, and everything that Redis knows about them, asked in few calls.
local key_of, body_of, key_names = {}, {}, {}          -- by number of the command
local quota_of, quota_names = {}, {}                   -- by number of the command
local ids, gates, lanes, rests = {}, {}, {}, {}
local all_lanes = {}
do
  local at = 4
  for _ = 1, tonumber(ARGV[3]) do
    local number, key = tonumber(ARGV[at]), key_key(ARGV[at + 1])
    key_of[number], body_of[number], key_names[#key_names + 1] = key, ARGV[at + 2], key
    at = at + 3
  end
  local quotas = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, quotas do
    local key = quota_key(ARGV[at + 1])
    quota_of[tonumber(ARGV[at])] = {key = key, max = tonumber(ARGV[at + 2]), kept = ARGV[at + 3]}
    quota_names[#quota_names + 1] = key
    at = at + 4
  end
  local seen, number = {}, 0
  while at <= #ARGV do
    number = number + 1
    local count = tonumber(ARGV[at + 2])
    local its_lanes = {unpack(ARGV, at + 3, at + 2 + count)}
    ids[number], gates[number], lanes[number], rests[number] = ARGV[at], ARGV[at + 1], its_lanes, ARGV[at + 3 + count]
    for _, lane in ipairs(its_lanes) do
      if not seen[lane] then
        seen[lane] = true
        all_lanes[#all_lanes + 1] = lane
      end
    end
    at = at + 4 + count
  end
end

local length = {}                                      -- lane -> how many stand in it, newcomers included
for i, found in ipairs(read_in_chunks('ZMSCORE', LENGTHS, all_lanes)) do length[all_lanes[i]] = tonumber(found or 0) end

local keys = {}                                        -- key -> the request that it belongs to, and its body
if #key_names > 0 then
  for i, found in ipairs(call('MGET', unpack(key_names))) do keys[key_names[i]] = found end
end

local used = {}                                        -- quota -> how many it has let in
if #quota_names > 0 then
  for i, found in ipairs(call('MGET', unpack(quota_names))) do used[quota_names[i]] = tonumber(found or 0) end
end

local in_line = read_in_chunks('HMGET', RECORDS, ids)
local decided = {}                                     -- id -> true
do
  for time, of_that_time in pairs(by_time(ids)) do
    local key = outcomes_key(time)
    if call('EXISTS', key) == 1 then
      for i, found in ipairs(read_in_chunks('HMGET', key, of_that_time)) do decided[of_that_time[i]] = found and true end
    end
  end
end

-- What this call adds is collected and written at the end, with one command per key and not per newcomer.
local accepted = {}                                    -- id -> its reply
local records, line, ready, waiting = {}, {}, {}, {}
local joined = {}                                      -- lane -> the newcomers in it, as ZADD takes them
local bound_now = {}                                   -- keys and values that this call binds, as MSET takes them
local counted = {}                                     -- quota -> for how long it is kept, where this call counts

local function known(number)
  local id, record = ids[number], in_line[number]
  if accepted[id] then return accepted[id] end
  if record then
    local its_ticket, its_clock = string.match(record, '^(%d+) (%d+) ')
    local position = 0
    for _, lane in ipairs(lanes_in(record)) do
      position = math.max(position, call('ZRANK', lane_key(lane), id))
    end
    return {'accepted', its_ticket, its_clock, position}
  end
  return decided[id] and {'decided', id}
end

local function bound(number)
  local first = key_of[number] and keys[key_of[number]]
  if not first then return nil end
  local id, its_body = string.match(first, '^(%S+) (%S+)$')
  return {its_body == body_of[number] and 'repeated' or 'reused', id}
end

local is_closed = {}                                   -- gate -> whether it is
local function closed(gate)
  if gate == '-' then return nil end
  if is_closed[gate] == nil then
    local numbers = call('HMGET', prefix .. 'gate:' .. gate, 'used', 'limit')
    is_closed[gate] = numbers[1] and numbers[2] and tonumber(numbers[1]) >= tonumber(numbers[2]) or false
  end
  return is_closed[gate] and {'closed', ''} or nil
end

local function stand_in_line(number)
  if depth >= depth_max then return {'full', ''} end
  local id, its_lanes = ids[number], lanes[number]
  local position, behind = 0, 0
  for _, lane in ipairs(its_lanes) do
    local before = length[lane]
    if before >= lane_depth_max then return {'lane_full', ''} end
    if before > 0 then behind = behind + 1 end
    if before > position then position = before end
  end
  local quota = quota_of[number]
  if quota then
    if used[quota.key] >= quota.max then return {'used_up', ''} end
    used[quota.key] = used[quota.key] + 1
    counted[quota.key] = quota.kept
  end

  ticket = ticket + 1
  clock = math.max(now, clock + 1)
  depth = depth + 1
  local its_ticket, its_clock = whole(ticket), whole(clock)
  push(records, id, its_ticket .. ' ' .. its_clock .. ' ' .. rests[number])
  push(line, its_ticket, id)
  for _, lane in ipairs(its_lanes) do
    length[lane] = length[lane] + 1
    local newcomers = joined[lane]
    if not newcomers then
      newcomers = {}
      joined[lane] = newcomers
    end
    push(newcomers, its_ticket, id)
  end
  if key_of[number] then
    local first = id .. ' ' .. body_of[number]
    keys[key_of[number]] = first
    push(bound_now, key_of[number], first)
  end
  if behind > 0 then
    if #its_lanes > 1 then push(waiting, id, whole(behind)) end
  elseif not is_held(id, its_lanes) then
    push(ready, its_ticket, id)
  end
  accepted[id] = {'accepted', its_ticket, its_clock, position}
  return accepted[id]
end

local replies = {}
for number = 1, #ids do
  replies[number] = known(number) or bound(number) or closed(gates[number]) or stand_in_line(number)
end

call('HSET', COUNTER, 'ticket', whole(ticket), 'clock', whole(clock))
if #records > 0 then
  local lengths = {}
  for lane, newcomers in pairs(joined) do
    in_chunks('ZADD', lane_key(lane), newcomers)
    push(lengths, whole(length[lane]), lane)
  end
  in_chunks('HSET', RECORDS, records)
  in_chunks('ZADD', LINE, line)
  in_chunks('ZADD', LENGTHS, lengths)
  in_chunks('HSET', WAITING, waiting)
  in_chunks('ZADD', READY, ready)
  if #bound_now > 0 then call('MSET', unpack(bound_now)) end
  for key, kept in pairs(counted) do call('SET', key, whole(used[key]), 'PX', kept) end
  offered = #ready > 0
  wake()
end
return replies
