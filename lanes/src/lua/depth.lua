-- ARGV: how many of the longest lanes
-- Reply: {depth, in flight, leases, age of the oldest in µs or -1, ready, {lane, length, …}, {paused lane, …}}
local age = -1
local oldest = call('ZRANGE', LINE, 0, 0)[1]
if oldest then
  -- acceptedAt only rises, so in a crowd it runs some microseconds ahead of the clock.
  age = math.max(0, now_us() - tonumber(string.match(call('HGET', RECORDS, oldest), '^%d+ (%d+) ')))
end
return {
  call('ZCARD', LINE), in_flight_count(), call('ZCARD', LEASES), whole(age),
  call('ZCARD', READY) + call('ZCARD', SUSPECTS),
  call('ZREVRANGE', LENGTHS, 0, tonumber(ARGV[1]) - 1, 'WITHSCORES'), call('SMEMBERS', PAUSED),
}
