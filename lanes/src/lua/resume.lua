-- ARGV: lane. Reply: 1 if it was paused.
local lane = ARGV[1]
local was_paused = call('SREM', PAUSED, lane)
if lane == '*' then
  offered = true
else
  local first = call('ZRANGE', lane_key(lane), 0, 0, 'WITHSCORES')
  if first[1] and call('HEXISTS', WAITING, first[1]) == 0 and not in_flight(first[1]) then
    offer({first[1]}, {first[2]})
  end
end
wake()
return was_paused
