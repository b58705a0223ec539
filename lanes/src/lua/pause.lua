-- Holds a lane (or, as '*', the group). Batches in flight finish.
--
-- ARGV: lane, most commands to count
-- Reply: how many commands are held by it: those in the lane, and whoever stands behind one of them elsewhere.
local lane, count_max = ARGV[1], tonumber(ARGV[2])
hold_lane(lane)
local claimed = in_flight_count()
if lane == '*' then return math.min(count_max, call('ZCARD', LINE) - claimed) end

-- Walks the lanes from here to everybody behind. `seen_from` is the rank from which a lane was walked already.
local held, count, todo = {}, 0, {}
local seen_from = {}
local function hold_from(name, rank)
  -- Nobody further back can be counted any more: before them stand enough who are not in flight.
  local to = rank + count_max + claimed - 1
  if seen_from[name] then to = math.min(to, seen_from[name] - 1) end
  if rank > to then return end
  seen_from[name] = rank
  for _, id in ipairs(call('ZRANGE', lane_key(name), rank, to)) do
    if count < count_max and not held[id] and not in_flight(id) then
      held[id], count = true, count + 1
      todo[#todo + 1] = id
    end
  end
end
hold_from(lane, 0)
local next_one = 1
while next_one <= #todo and count < count_max do
  local id = todo[next_one]
  next_one = next_one + 1
  for _, name in ipairs(lanes_of(id)) do hold_from(name, call('ZRANK', lane_key(name), id)) end
end
return count
