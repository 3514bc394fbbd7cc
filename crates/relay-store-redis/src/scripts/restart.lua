-- Starts every limit of a scope anew: keeps what was spent in all until now, and closes the window.
-- KEYS: the scope's meter; its total, of a key also that of Claude models and v1's four names of its window.
-- ARGV: the scope's id, now (ms).
-- Returns nothing.
local scope = {meter = take_key(), total = take_key(), id = take_arg()}
scope.kind = string.match(scope.id, '^%a+')
scope.is_v1 = scope.kind == 'key'
scope.claude_total = scope.is_v1 and take_key()
local all, claude = spent_in_all(scope)
call(
  'HSET', scope.meter, 'restartAt', take_arg(), 'restartSpent', string.format('%.0f', all),
  'restartClaude', string.format('%.0f', claude)
)
call('HDEL', scope.meter, 'window', 'windowRequests', 'windowTokens', 'windowCost')
if scope.is_v1 then
  call('DEL', take_key(), take_key(), take_key(), take_key())
end
return false
