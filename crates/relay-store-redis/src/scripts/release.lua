-- Gives parts of a request's hold back to scopes in which it is no longer.
-- KEYS: the request's hold; then of each part the zset of its scope's leases and its meter.
-- ARGV: request id, how many parts; then of each its field in the hold, and what it was when it was read.
-- Returns nothing. A part that has changed since it was read is left alone.
local hold, id = take_key(), take_arg()
for _ = 1, take_number() do
  local leases, meter, field, text = take_key(), take_key(), take_arg(), take_arg()
  if call('HGET', hold, field) == text then
    call('HDEL', hold, field)
    give_back(text, leases, meter, id)
  end
end
return false
