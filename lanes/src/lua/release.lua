-- Frees the lanes of a batch and removes nothing: everybody keeps the place.
--
-- ARGV: token, '1' if the batch failed (its commands come back in a smaller one), '1' if a lone command is to blame
-- Reply: 1, or 0 when the lease is not ours any more.
local token = ARGV[1]
if not call('ZSCORE', LEASES, token) then return 0 end
give_back(token, ARGV[2] == '1', ARGV[3] == '1')
wake()
return 1
