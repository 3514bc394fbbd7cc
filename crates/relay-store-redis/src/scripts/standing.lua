-- Reads how far the limits of a scope are used.
-- KEYS: those of the scope. ARGV: now (ms); then those of the scope.
-- Returns {1, when its window began (or 0), then used and held of each limit}; or {4, 1, budget} when the
-- beginning of that budget's period is not known yet.
local now = take_number()
local scope, answer = take_scope(), {1}
local unknown = read_scope(scope, now)
if unknown then
  return {4, 1, unknown}
end
tell(answer, scope)
return answer
