-- Shared by every script: names of keys, the record of a waiting command, and who may be claimed.
--
-- KEYS[1] is the prefix of the group, `{group}:`. Every other key is made from it, so all of them share one hash tag
-- and live in one slot of a cluster. Ids and lanes arrive as ARGV or are read from keys, never as script text.
local call = redis.call
local prefix = KEYS[1]

local COUNTER = prefix .. 'counter'   -- hash: ticket, the last one given; clock, the last acceptedAt in microseconds; take_over, the last one;
                                      -- unsure, the last ticket that may have been decided before it
local LINE = prefix .. 'line'         -- sorted set by ticket: every command without an outcome
local RECORDS = prefix .. 'records'   -- hash: command without an outcome -> its record
local LENGTHS = prefix .. 'lengths'   -- sorted set: lane -> number of commands in it
local READY = prefix .. 'ready'       -- sorted set by ticket: first in all their lanes, not leased, not held
local SUSPECTS = prefix .. 'suspects' -- the same, for commands whose batch failed before
local WAITING = prefix .. 'waiting'   -- hash: command of several lanes -> in how many of them it is not first (> 0)
local LEASES = prefix .. 'leases'     -- sorted set: batch token -> deadline in milliseconds
local SHRUNK = prefix .. 'shrunk'     -- hash: command whose batch failed -> the most commands that its next batch may have
local ALONE = prefix .. 'alone'       -- hash: command whose batch was blamed -> how often it failed alone
local PAUSED = prefix .. 'paused'     -- set: lanes that are held; '*' holds the group
local SUSPECT = prefix .. 'suspect'   -- token of the batch of suspects in flight: at most one at a time
local TURN = prefix .. 'turn'         -- ticket of the last suspect that flew first: the next flight begins behind it
local IDLE = prefix .. 'idle'         -- set while a worker sleeps and wants to be woken

local function lane_key(lane) return prefix .. 'lane:' .. lane end
local function batch_key(token) return prefix .. 'batch:' .. token end  -- set: the commands of a leased batch
local function key_key(digest) return prefix .. 'key:' .. digest end
local function quota_key(name) return prefix .. 'quota:' .. name end  -- how many commands of this name were accepted

-- Outcomes are kept in hashes of whoever came within the same quarter of a second, so that a batch writes few keys and
-- a hash that expires is small. The first 11 characters of a UUIDv7 are its time in steps of 256 ms.
local function time_of(id) return string.sub(id, 1, 11) end
local function outcomes_key(time) return prefix .. 'outcomes:' .. time end

-- The ids of each time.
local function by_time(ids)
  local times = {}
  for _, id in ipairs(ids) do
    local time = time_of(id)
    local of_that_time = times[time]
    if not of_that_time then
      of_that_time = {}
      times[time] = of_that_time
    end
    of_that_time[#of_that_time + 1] = id
  end
  return times
end

-- `unpack` fails above 8,000 values, so long lists go to Redis in pieces. A call from Lua costs more than what most
-- commands do, so what can be asked or said together is.
local UNPACK_MAX = 4000
local function in_chunks(command, key, list)
  for first = 1, #list, UNPACK_MAX do
    call(command, key, unpack(list, first, math.min(first + UNPACK_MAX - 1, #list)))
  end
end

-- The same for commands that answer with one value for each of the list; `false` stands for none.
local function read_in_chunks(command, key, list)
  if #list <= UNPACK_MAX then
    return #list > 0 and call(command, key, unpack(list)) or {}
  end
  local found = {}
  for first = 1, #list, UNPACK_MAX do
    local piece = call(command, key, unpack(list, first, math.min(first + UNPACK_MAX - 1, #list)))
    for _, value in ipairs(piece) do found[#found + 1] = value end
  end
  return found
end

local function delete(keys)
  for first = 1, #keys, UNPACK_MAX do
    call('DEL', unpack(keys, first, math.min(first + UNPACK_MAX - 1, #keys)))
  end
end

local function push(list, a, b)
  list[#list + 1] = a
  list[#list + 1] = b
end

-- Whole numbers below 2^53 as text. `%d` is several times quicker than `%.0f`, and than what Redis makes of a number that it
-- is given as one.
local function whole(number) return string.format('%d', number) end

local function words(text)
  local list = {}
  for word in string.gmatch(text, '%S+') do list[#list + 1] = word end
  return list
end

local function now_us()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The lanes in a record, which is `<ticket> <acceptedAt> <key> <body> <lane> …\n<envelope>`.
local function lanes_in(record)
  return words(string.match(record, '^%d+ %d+ %S+ %S+ ([^\n]*)\n'))
end

local function lanes_of(id)
  return lanes_in(call('HGET', RECORDS, id))
end

-- Whether a worker has the command. There are as many leases as batches in flight: few.
local function in_flight(id)
  for _, token in ipairs(call('ZRANGE', LEASES, 0, -1)) do
    if call('SISMEMBER', batch_key(token), id) == 1 then return true end
  end
  return false
end

local any_paused = nil
local function is_paused()
  if any_paused == nil then any_paused = call('SCARD', PAUSED) > 0 end
  return any_paused
end

local function is_held(id, lanes)
  if not is_paused() then return false end
  for _, lane in ipairs(lanes or lanes_of(id)) do
    if call('SISMEMBER', PAUSED, lane) == 1 then return true end
  end
  return false
end

-- Offers commands that are first in all their lanes to the workers, except those of whom a lane is paused.
-- `lanes` may hold the lanes of a command where they are known.
local offered = false
local function offer(ids, tickets, lanes)
  local any_failures = call('EXISTS', SHRUNK) == 1
  local ready, suspects = {}, {}
  for i, id in ipairs(ids) do
    if not is_held(id, lanes and lanes[i]) then
      push(any_failures and call('HEXISTS', SHRUNK, id) == 1 and suspects or ready, tickets[i], id)
    end
  end
  in_chunks('ZADD', READY, ready)
  in_chunks('ZADD', SUSPECTS, suspects)
  offered = offered or #ready + #suspects > 0
end

-- From now on nobody who stands in the lane is given to a worker. Only who is first in a lane can be ready.
local function hold_lane(lane)
  call('SADD', PAUSED, lane)
  any_paused = true
  local first = call('ZRANGE', lane_key(lane), 0, 0)[1]
  if first then
    call('ZREM', READY, first)
    call('ZREM', SUSPECTS, first)
  end
end

-- Ends that. Answers whether the lane was held.
local function free_lane(lane)
  local was_held = call('SREM', PAUSED, lane)
  if lane == '*' then
    offered = true
    return was_held
  end
  local first = call('ZRANGE', lane_key(lane), 0, 0, 'WITHSCORES')
  if first[1] and call('HEXISTS', WAITING, first[1]) == 0 and not in_flight(first[1]) then
    offer({first[1]}, {first[2]})
  end
  return was_held
end

local function in_flight_count()
  local count = 0
  for _, token in ipairs(call('ZRANGE', LEASES, 0, -1)) do count = count + call('SCARD', batch_key(token)) end
  return count
end

-- One message wakes the sleepers; nothing is sent while everybody is busy.
local function wake()
  if offered and call('DEL', IDLE) == 1 then call('PUBLISH', prefix .. 'wake', '') end
end

-- The end of a batch of suspects lets the next one fly.
local function end_lease(token)
  call('ZREM', LEASES, token)
  call('DEL', batch_key(token))
  if call('GET', SUSPECT) == token then
    call('DEL', SUSPECT)
    offered = true
  end
end

-- Gives a batch back: the lanes were never touched, so everybody keeps the place. `failed` remembers that the batch
-- did not survive, which makes the next batch with these commands smaller; `blame` counts it against a lone command.
local function give_back(token, failed, blame)
  local members = call('SMEMBERS', batch_key(token))
  end_lease(token)
  if failed then
    local quarter = math.max(1, math.floor(#members / 4))
    for _, id in ipairs(members) do call('HSET', SHRUNK, id, quarter) end
    if blame then
      local alone = #members == 1 and 1 or 0
      for _, id in ipairs(members) do call('HINCRBY', ALONE, id, alone) end
    end
  end
  -- Those who are first in all their lanes were ready before, and are again.
  local ids, tickets, lanes = {}, {}, {}
  for _, id in ipairs(members) do
    local its_lanes = lanes_of(id)
    local first
    if #its_lanes > 1 then
      first = call('HEXISTS', WAITING, id) == 0
    else
      first = call('ZRANK', lane_key(its_lanes[1]), id) == 0
    end
    if first then
      ids[#ids + 1], tickets[#tickets + 1], lanes[#lanes + 1] = id, call('ZSCORE', LINE, id), its_lanes
    end
  end
  offer(ids, tickets, lanes)
end

-- Gives back batches whose lease has ended, at most so many, and answers how many. That counts as a failure: a command that
-- kills its worker must not get a fresh start every time. A lease that ends later than any can was made by a clock that has
-- been put back since; nobody is to blame for it.
local function give_back_expired(now_ms, lease_max_ms, count_max)
  local late = call('ZRANGEBYSCORE', LEASES, '-inf', now_ms, 'LIMIT', 0, count_max)
  for _, token in ipairs(late) do give_back(token, true, true) end
  local impossible = call('ZRANGEBYSCORE', LEASES, '(' .. whole(now_ms + lease_max_ms), '+inf', 'LIMIT', 0, count_max)
  for _, token in ipairs(impossible) do give_back(token, false, false) end
  return #late + #impossible
end

-- A gate is two numbers, each only ever raised, so that a late message can neither close an opened gate nor open a
-- closed one. It is closed while used >= limit.
local function raise_gate(lane, used, limit)
  local key = prefix .. 'gate:' .. lane
  local old = call('HMGET', key, 'used', 'limit')
  call('HSET', key,
    'used', whole(math.max(tonumber(old[1] or 0), tonumber(used))),
    'limit', whole(math.max(tonumber(old[2] or 0), tonumber(limit))))
end

-- Keeps outcomes for a while and tells them in one message. They stand in ARGV from `first` to the end, each behind its
-- id; `head` is the beginning of the message.
local function keep_and_tell(first, ttl, head)
  local outcomes, times = {}, {}
  for at = first, #ARGV, 2 do
    local id, outcome = ARGV[at], ARGV[at + 1]
    local time = time_of(id)
    local kept = times[time]
    if not kept then
      kept = {}
      times[time] = kept
    end
    push(kept, id, outcome)
    outcomes[#outcomes + 1] = outcome
  end
  for time, kept in pairs(times) do
    local key = outcomes_key(time)
    in_chunks('HSET', key, kept)
    call('PEXPIRE', key, ttl)
  end
  call('PUBLISH', prefix .. 'decided', head .. table.concat(outcomes))
end
