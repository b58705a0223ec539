-- ARGV: token, lease in ms. Reply: 1, or 0 when the lease is not ours any more.
if not call('ZSCORE', LEASES, ARGV[1]) then return 0 end
call('ZADD', LEASES, math.floor(now_us() / 1000) + tonumber(ARGV[2]), ARGV[1])
return 1
