-- ARGV: lane. Reply: 1 if it was paused.
local was_held = free_lane(ARGV[1])
wake()
return was_held
