-- Keeps what a scope had spent in all when a period began that no counter is for: what it has spent in all,
-- less what counters of the days and hours since then have. Once in a period; then the total tells the rest.
-- KEYS: the scope's meter; its total, of a key also that of Claude models; the counters since then.
-- ARGV: the scope's id, the field under which it is kept, what such fields begin with, 'claude' if it is the
-- money of Claude models.
-- Returns nothing.
local KEPT = 3
local scope = {meter = take_key(), total = take_key(), id = take_arg()}
scope.kind = string.match(scope.id, '^%a+')
scope.is_v1 = scope.kind == 'key'
scope.claude_total = scope.is_v1 and take_key()
local field, stem, is_claude = take_arg(), take_arg(), take_arg() == 'claude'
local all, claude = spent_in_all(scope)
local before = is_claude and claude or all
for i = key_at + 1, #KEYS do
  if is_claude then
    before = before - number(call('HGET', KEYS[i], 'claudeNano'))
  else
    before = before - spent_in(scope, KEYS[i])
  end
end
call('HSETNX', scope.meter, field, string.format('%.0f', before))
-- Names of periods sort by time: the oldest go.
local known = {}
for _, name in ipairs(call('HKEYS', scope.meter)) do
  if string.sub(name, 1, #stem) == stem then
    known[#known + 1] = name
  end
end
table.sort(known)
for i = 1, #known - KEPT do
  call('HDEL', scope.meter, known[i])
end
return false
