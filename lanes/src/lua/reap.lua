-- Gives back every batch whose lease has expired. ARGV: most batches, the longest lease in ms. Reply: how many.
local expired = give_back_expired(math.floor(now_us() / 1000), tonumber(ARGV[2]), tonumber(ARGV[1]))
wake()
return expired
