-- Gives a held request to an account, taking it from the one that it was given to before, or says which
-- limit of the account is in the way; then it belongs to none.
-- KEYS: zset of all holds: request id -> lease end (ms); the request's hold; then those of the account's
-- scope; then, if another account is named, zset of its leases and its meter.
-- ARGV: request id, now (ms), how much longer than the last lease a scope's leases are kept (ms); then those
-- of the account's scope; then the id of another account's scope, or ''.
-- Returns {1} when it is the account's; {0, a denial} when it is not; {3} when there is no such hold; or, with
-- nothing done, {2, its part} when it is given to an account that is not named, and {4, 1, budget} when the
-- beginning of that budget's period is not known yet.
local holds, hold = take_key(), take_key()
local id, now, grace = take_arg(), take_number(), take_arg()
local scope = take_scope()
local other = take_arg()

local lease_end = call('ZSCORE', holds, id)
local held = call('HMGET', hold, 'admitted', 'account', scope.id)
if not held[1] or not lease_end then
  return {3}
end
-- What the request may come to stands before what was admitted: it was not known then for which account. It
-- may cost more there.
local tokens, cost, is_claude, rest = string.match(held[1], '^(%d+) (%d+) (%d)( .*)$')
local is_raised = cost and number(cost) < scope.money
scope.tokens, scope.money = number(tokens), math.max(number(cost), scope.money)
scope.claude = is_claude == '1' and scope.money or nil
local before = held[2] and part_of(held[2])
if before and before ~= scope.id and before ~= other then
  return {2, held[2]}
end
local unknown = read_scope(scope, now)
if unknown then
  return {4, 1, unknown}
end

-- The first write, while there is nothing to undo: a Redis that takes no writes now stops the script here.
call('ZADD', holds, lease_end, id)

if before == scope.id then
  give_back(held[2], scope.leases, scope.meter, id)
elseif before then
  local leases, meter = take_key(), take_key()
  give_back(held[2], leases, meter, id)
end
read_scope(scope, now, tonumber(held[3]))
local line = full_line(scope)
if line then
  call('HDEL', hold, 'account')
  return denial(1, scope, line)
end
call('HSET', hold, 'account', take(scope, id, now, lease_end, grace))
if is_raised then
  local admitted = string.format('%s %.0f %s%s', tokens, scope.money, is_claude, rest)
  call('HSET', hold, 'admitted', admitted)
end
if scope.window then
  call('HSET', hold, scope.id, string.format('%.0f', scope.window))
end
return {1}
