-- Gives back every batch whose lease has expired. ARGV: most batches. Reply: how many.
local expired = call('ZRANGEBYSCORE', LEASES, '-inf', math.floor(now_us() / 1000), 'LIMIT', 0, tonumber(ARGV[1]))
for _, token in ipairs(expired) do give_back(token, true, true) end
wake()
return #expired
