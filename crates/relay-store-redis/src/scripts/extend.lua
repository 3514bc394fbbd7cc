-- Raises what a request holds, in all of its scopes or in none. A hold is never lowered.
-- KEYS: zset of all holds: request id -> lease end (ms); the request's hold; then those of each scope.
-- ARGV: request id, now (ms), tokens and cost (nano-dollars) that it may come to, how many scopes; then those
-- of each scope.
-- Returns {1} when it is raised; otherwise with nothing done {0, a denial} when a limit is in the way, {3}
-- when there is no such hold, and {4, scope, budget} when the beginning of that budget's period is not known
-- yet.
local holds, hold = take_key(), take_key()
local id, now = take_arg(), take_number()
local tokens, cost = take_number(), take_number()
local scopes = {}
for i = 1, take_number() do
  scopes[i] = take_scope()
end
local held = call('HMGET', hold, 'admitted', 'key', 'group', 'account')
local parts = {key = held[2], group = held[3], account = held[4]}
local lease_end = call('ZSCORE', holds, id)
if not held[1] or not lease_end then
  return {3}
end

for i, scope in ipairs(scopes) do
  local before = parts[scope.kind]
  local part_id, has_slot
  if before then
    part_id, has_slot = part_of(before)
  end
  if part_id ~= scope.id then
    -- It has no part in this scope yet, or one in another of the same kind, which stays as it is.
    scope.is_other, before, has_slot = part_id ~= nil, nil, false
  end
  local held_tokens, money, claude = amounts(before)
  scope.after = {
    math.max(held_tokens, scope.tokens), math.max(money, scope.money),
    math.max(claude, scope.claude or 0), has_slot and 1 or 0,
  }
  scope.more = {tokens = scope.after[1] - held_tokens, money = scope.after[2] - money}
  scope.more.claude = scope.after[3] - claude
  local unknown = read_scope(scope, now)
  if unknown then
    return {4, i, unknown}
  end
  for at, line in ipairs(scope.lines) do
    local more = scope.more[line.kind] or 0
    if not scope.is_other and more > 0 and line.allowed < line.used + line.held + more then
      return denial(i, scope, at)
    end
  end
end

-- The first write, while there is nothing to undo: a Redis that takes no writes now stops the script here.
call('ZADD', holds, lease_end, id)
-- What another account would have to hold.
local known_tokens, known_cost, rest = string.match(held[1], '^(%d+) (%d+) (.*)$')
if known_tokens then
  tokens, cost = math.max(tokens, number(known_tokens)), math.max(cost, number(known_cost))
  call('HSET', hold, 'admitted', string.format('%.0f %.0f %s', tokens, cost, rest))
end
for _, scope in ipairs(scopes) do
  if not scope.is_other then
    local after, more = scope.after, scope.more
    hold_of(
      scope.meter, scope.held_tokens + more.tokens, scope.held_money + more.money,
      scope.held_claude + more.claude
    )
    call('HSET', hold, scope.kind, part(scope, after[1], after[2], after[3], after[4]))
  end
end
return {1}
