-- Leases a batch to a worker: ready commands oldest first, then whoever becomes first once those are gone.
--
-- ARGV: token, lease in ms, most commands, most lane entries, the longest lease in ms
-- Reply: {expired leases given back, ms until the next lease ends or -1, failures of a lone command or -1 if it was never blamed, now in µs,
--         1 if the batch is one of suspects, id, record, id, record, …}
local token, lease_ms = ARGV[1], tonumber(ARGV[2])
local room, entry_room = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_us()
local now_ms = math.floor(now / 1000)

-- Whoever comes again with a token did not hear the answer to an earlier claim: the batch is there, and nobody had it in hand.
local unheard = call('ZSCORE', LEASES, token)
if unheard then call('ZADD', LEASES, now_ms + lease_ms, token) end

-- An expired lease is a release, done by whoever notices.
local EXPIRED_MAX = 16
local expired = give_back_expired(now_ms, tonumber(ARGV[5]), EXPIRED_MAX)

local function next_deadline()
  local first = call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2]
  return first and math.max(0, tonumber(first) - now_ms) or -1
end

local function nothing()
  call('SET', IDLE, '1')
  return {expired, next_deadline(), -1, whole(now), 0}
end

if not unheard and call('SISMEMBER', PAUSED, '*') == 1 then return nothing() end

-- Suspects fly one batch at a time, so that a crash can be blamed on the right one; the oldest goes first. After a flight
-- that failed it is the next one's turn, so that one that fails again and again does not ground all others.
local source, suspects, skipped = READY, false, 0
local oldest_suspect = call('ZRANGE', SUSPECTS, 0, 0, 'WITHSCORES')[2]
if not unheard and oldest_suspect and call('EXISTS', SUSPECT) == 0 then
  local oldest_ready = call('ZRANGE', READY, 0, 0, 'WITHSCORES')[2]
  if not oldest_ready or tonumber(oldest_suspect) < tonumber(oldest_ready) then source, suspects = SUSPECTS, true end
  local turn = suspects and call('GET', TURN)
  if turn then skipped = call('ZCOUNT', SUSPECTS, '-inf', turn) end
  if skipped == call('ZCARD', SUSPECTS) then skipped = 0 end
end

-- A batch that failed is tried again at a quarter of its size, then at a sixteenth, until the culprit is alone.
local any_failures = call('EXISTS', SHRUNK) == 1
local function fits_kind(id)
  if not any_failures then return true end
  local size_max = call('HGET', SHRUNK, id)
  if (size_max and true or false) ~= suspects then return false end
  if suspects then room = math.min(room, tonumber(size_max)) end
  return true
end

local members, records, heads = {}, {}, {}  -- records[i] is read at the end where it was not needed before
local at = {}        -- lane -> how many of the batch stand in it: the rank of the first who is not in the batch
local advanced = {}  -- lanes whose first-not-in-the-batch changed and has not been looked at
local function take(id, lanes, record)
  if #members > 0 and #lanes > entry_room then return false end
  entry_room = entry_room - #lanes
  members[#members + 1] = id
  records[#members] = record or false
  for _, lane in ipairs(lanes) do
    at[lane] = (at[lane] or 0) + 1
    advanced[#advanced + 1] = lane
  end
  return true
end

local READY_PIECE = 128
local function take_ready()
  for from = 0, room - 1, READY_PIECE do
    local ids = call('ZRANGE', source, skipped + from, skipped + math.min(from + READY_PIECE, room) - 1)
    if #ids == 0 then return end
    local found = call('HMGET', RECORDS, unpack(ids))
    for i, id in ipairs(ids) do
      if not fits_kind(id) or #members >= room or not take(id, lanes_in(found[i]), found[i]) then return end
      heads[#heads + 1] = id
    end
  end
end

-- How many stand in each lane, asked once for all that were advanced.
local length = {}
local function learn_lengths(lanes)
  local unknown = {}
  for _, lane in ipairs(lanes) do
    if not length[lane] then
      length[lane] = 0
      unknown[#unknown + 1] = lane
    end
  end
  for i, found in ipairs(read_in_chunks('ZMSCORE', LENGTHS, unknown)) do length[unknown[i]] = tonumber(found or 0) end
end

-- Who is first in a lane once the batch is gone, if anybody. Lanes are read in growing pieces, so that a hot one costs
-- few calls and a cold one little.
local FIRST_PIECE, LARGEST_PIECE = 2, 512
local pieces = {}
local function next_in(lane)
  local rank = at[lane]
  if rank >= length[lane] then return nil end
  local piece = pieces[lane]
  if not piece then
    piece = {from = rank, size = FIRST_PIECE / 2, ids = {}}
    pieces[lane] = piece
  end
  if rank >= piece.from + #piece.ids then
    piece.from, piece.size = rank, math.min(piece.size * 2, LARGEST_PIECE)
    piece.ids = call('ZRANGE', lane_key(lane), rank, rank + piece.size - 1)
  end
  return piece.ids[rank - piece.from + 1]
end

-- In how many lanes somebody outside the batch is still before a command; 1 for a command of one lane.
local blocked = {}
local function learn_blocked(ids)
  local unknown = {}
  for _, id in ipairs(ids) do
    if not blocked[id] then unknown[#unknown + 1] = id end
  end
  for i, found in ipairs(read_in_chunks('HMGET', WAITING, unknown)) do blocked[unknown[i]] = tonumber(found or 1) end
end

-- A group whose commands have one lane each: whoever stands behind a member may join, and all lanes get their turn.
local TURN_COMMANDS = 64
local function take_followers_of_one_lane()
  local lanes = advanced
  advanced = {}
  learn_lengths(lanes)
  while #lanes > 0 do
    local unfinished = {}
    for _, lane in ipairs(lanes) do
      local last = math.min(at[lane] + TURN_COMMANDS, length[lane])
      while at[lane] < last do
        local id = next_in(lane)
        if not fits_kind(id) then break end
        if #members >= room or not take(id, {lane}) then return end
      end
      if at[lane] == last and last < length[lane] then unfinished[#unfinished + 1] = lane end
    end
    lanes = unfinished
  end
end

-- Wave after wave: a wave is everybody who stands behind those that the one before took. Ends when so many in a row were of one
-- command or none.
local function take_followers(lone_waves_max)
  local lone_waves = 0
  while #advanced > 0 and #members < room and lone_waves < lone_waves_max do
    local lanes_of_wave = advanced
    advanced = {}
    learn_lengths(lanes_of_wave)
    local ids = {}
    for _, lane in ipairs(lanes_of_wave) do ids[#ids + 1] = next_in(lane) end
    learn_blocked(ids)
    local wave = {}
    for _, id in ipairs(ids) do
      blocked[id] = blocked[id] - 1
      if blocked[id] == 0 and fits_kind(id) then wave[#wave + 1] = id end
    end
    for i, record in ipairs(read_in_chunks('HMGET', RECORDS, wave)) do
      if #members >= room then return end
      local lanes = lanes_in(record)
      if not is_held(wave[i], lanes) and not take(wave[i], lanes, record) then return end
    end
    lone_waves = #wave > 1 and 0 or lone_waves + 1
  end
end

-- While no batch is out and nobody is held or suspected, the oldest may go together: all who came before are taken as well, or
-- were ready, so nobody is overtaken. That needs to ask no lane.
local function take_oldest()
  local taken = {}
  for _, id in ipairs(members) do taken[id] = true end
  local ids, places = {}, room - #members
  if places <= 0 then return end
  for _, id in ipairs(call('ZRANGE', LINE, 0, room - 1)) do
    if not taken[id] and #ids < places then ids[#ids + 1] = id end
  end
  for i, record in ipairs(read_in_chunks('HMGET', RECORDS, ids)) do
    if not take(ids[i], lanes_in(record), record) then return end
  end
end

-- A lane that is longer than this part of a batch would fill it with its own, were it only for their age; so all lanes take
-- turns, until one is alone. One wave of one command is no sign of that: it may stand before several lanes.
local LONG_PART, LONE_WAVES_MAX = 1 / 8, 8
local function is_any_lane_long()
  return tonumber(call('ZREVRANGE', LENGTHS, 0, 0, 'WITHSCORES')[2] or 0) > room * LONG_PART
end

local function read_records()
  local unread, places = {}, {}
  for i, record in ipairs(records) do
    if not record then
      unread[#unread + 1] = members[i]
      places[#places + 1] = i
    end
  end
  for first = 1, #unread, UNPACK_MAX do
    local found = call('HMGET', RECORDS, unpack(unread, first, math.min(first + UNPACK_MAX - 1, #unread)))
    for i, record in ipairs(found) do records[places[first + i - 1]] = record end
  end
end

if unheard then
  members = call('SMEMBERS', batch_key(token))
  for i = 1, #members do records[i] = false end
  suspects = call('GET', SUSPECT) == token
  read_records()
else
  take_ready()
  if #members == 0 then return nothing() end
  if call('EXISTS', WAITING) == 0 then
    take_followers_of_one_lane()
  elseif any_failures or is_paused() or call('ZCARD', LEASES) > 0 then
    take_followers(math.huge)
  else
    if is_any_lane_long() then take_followers(LONE_WAVES_MAX) end
    take_oldest()
  end
  read_records()

  in_chunks('ZREM', source, heads)
  in_chunks('SADD', batch_key(token), members)
  call('ZADD', LEASES, now_ms + lease_ms, token)
  if suspects then
    call('SET', SUSPECT, token)
    call('SET', TURN, string.match(records[1], '^%d+'))
  end
end
wake()

local alone = -1
if #members == 1 and any_failures then alone = tonumber(call('HGET', ALONE, members[1]) or -1) end
local reply = {expired, next_deadline(), alone, whole(now), suspects and 1 or 0}
for i, id in ipairs(members) do
  reply[#reply + 1] = id
  reply[#reply + 1] = records[i]
end
return reply
