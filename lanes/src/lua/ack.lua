-- Ends a batch: removes its commands from the line, keeps their outcomes for a while, frees the lanes.
-- Deletes first, so that a full Redis gets room before anything is written.
--
-- ARGV: token, outcome time-to-live in ms, key time-to-live in ms, head of the message;
--       number of lanes, then per lane: lane, how many of the batch stand in it;
--       number of gates, then per gate: lane, used, limit;
--       number of idempotency keys, then their digests;
--       then per command: id, outcome
-- Reply: 1, or 0 when the lease is not ours any more.
local token = ARGV[1]
if not call('ZSCORE', LEASES, token) then return 0 end
-- A flight of suspects that succeeded: the oldest goes first again.
if call('GET', SUSPECT) == token then call('DEL', TURN) end
end_lease(token)

local lanes_from = 6
local gates_from = lanes_from + 2 * tonumber(ARGV[5]) + 1
local keys_from = gates_from + 3 * tonumber(ARGV[gates_from - 1]) + 1
local commands_from = keys_from + tonumber(ARGV[keys_from - 1])

local ids = {}
for at = commands_from, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
in_chunks('ZREM', LINE, ids)
in_chunks('HDEL', RECORDS, ids)
if call('EXISTS', SHRUNK) == 1 then
  in_chunks('HDEL', SHRUNK, ids)
  in_chunks('HDEL', ALONE, ids)
end
local any_waiting = call('EXISTS', WAITING) == 1
-- Whoever left together with those before never became first, so still counts the lanes to wait for.
if any_waiting then in_chunks('HDEL', WAITING, ids) end

local lanes, counts = {}, {}
for at = lanes_from, gates_from - 2, 2 do
  lanes[#lanes + 1], counts[#counts + 1] = ARGV[at], tonumber(ARGV[at + 1])
end

-- Takes the batch out of its lanes. Whoever is first in one now was not first before: one lane less to wait for.
local firsts = {}
local advanced = {}                                    -- command -> in how many lanes it became first
local shorter, empty, empty_keys = {}, {}, {}
local lengths = read_in_chunks('ZMSCORE', LENGTHS, lanes)
for i, lane in ipairs(lanes) do
  local key = lane_key(lane)
  local length = tonumber(lengths[i] or 0) - counts[i]
  if length > 0 then
    call('ZREMRANGEBYRANK', key, '0', whole(counts[i] - 1))
    push(shorter, whole(length), lane)
    local first = call('ZRANGE', key, '0', '0')[1]
    if not advanced[first] then firsts[#firsts + 1] = first end
    advanced[first] = (advanced[first] or 0) + 1
  else
    empty[#empty + 1], empty_keys[#empty_keys + 1] = lane, key
  end
end
delete(empty_keys)
in_chunks('ZADD', LENGTHS, shorter)
in_chunks('ZREM', LENGTHS, empty)

local waits = any_waiting and read_in_chunks('HMGET', WAITING, firsts) or {}
local still_waiting, waited, ready = {}, {}, {}
for i, id in ipairs(firsts) do
  local left = tonumber(waits[i] or 1) - advanced[id]
  if left > 0 then
    push(still_waiting, id, whole(left))
  else
    if waits[i] then waited[#waited + 1] = id end
    ready[#ready + 1] = id
  end
end
in_chunks('HSET', WAITING, still_waiting)
in_chunks('HDEL', WAITING, waited)
offer(ready, read_in_chunks('ZMSCORE', LINE, ready))

for at = gates_from, keys_from - 2, 3 do
  raise_gate(ARGV[at], ARGV[at + 1], ARGV[at + 2])
end

for at = keys_from, commands_from - 1 do call('PEXPIRE', key_key(ARGV[at]), ARGV[3]) end

keep_and_tell(commands_from, ARGV[2], ARGV[4])
wake()
return 1
