-- Tells outcomes that came after the ack, and keeps them in place of what the ack left.
--
-- ARGV: outcome time-to-live in ms, head of the message; then per command: id, outcome
keep_and_tell(3, ARGV[1], ARGV[2])
return 1
