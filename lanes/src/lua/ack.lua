-- Ends a batch: removes its commands from the line, keeps their outcomes for a while, frees the lanes.
-- Deletes first, so that a full Redis gets room before anything is written.
--
-- ARGV: token, outcome time-to-live in ms, key time-to-live in ms,
--       number of lanes, then per lane: lane, how many of the batch stand in it;
--       number of gates, then per gate: lane, used, limit;
--       then per command: id, key digest or '-', outcome
-- Reply: 1, or 0 when the lease is not ours any more.
local token = ARGV[1]
if not call('ZSCORE', LEASES, token) then return 0 end
-- A flight of suspects that succeeded: the oldest goes first again.
if call('GET', SUSPECT) == token then call('DEL', TURN) end
end_lease(token)

local lanes_from = 5
local gates_from = lanes_from + 2 * tonumber(ARGV[4]) + 1
local commands_from = gates_from + 3 * tonumber(ARGV[gates_from - 1])

local ids = {}
for at = commands_from, #ARGV, 3 do ids[#ids + 1] = ARGV[at] end
in_chunks('ZREM', LINE, ids)
in_chunks('HDEL', RECORDS, ids)
if call('EXISTS', SHRUNK) == 1 then
  in_chunks('HDEL', SHRUNK, ids)
  in_chunks('HDEL', ALONE, ids)
end
-- Whoever left together with those before never became first, so still counts the lanes to wait for.
if call('EXISTS', WAITING) == 1 then in_chunks('HDEL', WAITING, ids) end

-- Whoever is first in a lane now was not first before: one lane less to wait for.
local function advance(id, ticket)
  local waiting = call('HGET', WAITING, id)
  if waiting and tonumber(waiting) > 1 then
    call('HINCRBY', WAITING, id, -1)
    return
  end
  if waiting then call('HDEL', WAITING, id) end
  offer(id, ticket)
end

for at = lanes_from, gates_from - 2, 2 do
  local lane, count = ARGV[at], tonumber(ARGV[at + 1])
  local key = lane_key(lane)
  call('ZREMRANGEBYRANK', key, 0, count - 1)
  if tonumber(call('ZINCRBY', LENGTHS, -count, lane)) <= 0 then
    call('ZREM', LENGTHS, lane)
  else
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    advance(first[1], first[2])
  end
end

for at = gates_from, commands_from - 3, 3 do
  raise_gate(ARGV[at], ARGV[at + 1], ARGV[at + 2])
end

local message, outcomes = {}, {}
for at = commands_from, #ARGV, 3 do
  local id, digest, outcome = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local key = outcomes_key(id)
  local kept = outcomes[key] or {}
  kept[#kept + 1], kept[#kept + 2] = id, outcome
  outcomes[key] = kept
  if digest ~= '-' then call('PEXPIRE', key_key(digest), ARGV[3]) end
  message[#message + 1] = id .. ' ' .. #outcome .. '\n' .. outcome
end
for key, kept in pairs(outcomes) do
  in_chunks('HSET', key, kept)
  call('PEXPIRE', key, ARGV[2])
end
call('PUBLISH', prefix .. 'decided', table.concat(message))
wake()
return 1
