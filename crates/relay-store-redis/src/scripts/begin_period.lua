-- Keeps what a scope had spent in all when a period began that no counter is for: what it has spent in all,
-- less what counters of the days and hours since then have. Once in a period; then the total tells the rest.
-- A day that begins within an hour is noted in the meter ('dayMinute'): from then on whatever counts sees to
-- it that the beginning of the present day is known, so that of the next day nothing has been counted yet.
-- KEYS: the scope's meter; its total, of a key also that of Claude models; the counters since then.
-- ARGV: the scope's id, the field under which it is kept, what such fields begin with, 'claude' if it is the
-- money of Claude models, the minute at which a day begins if that is within an hour, otherwise ''.
-- Returns nothing.
local KEPT = 2
local scope = {meter = take_key(), total = take_key(), id = take_arg()}
scope.kind = string.match(scope.id, '^%a+')
scope.is_v1 = scope.kind == 'key'
scope.claude_total = scope.is_v1 and take_key()
local field, stem, is_claude, minute = take_arg(), take_arg(), take_arg() == 'claude', take_arg()
local all, claude = spent_in_all(scope)
local before = is_claude and claude or all
local is_followed = minute ~= '' and call('HGET', scope.meter, 'dayMinute') == minute
for i = is_followed and #KEYS + 1 or key_at + 1, #KEYS do
  if is_claude then
    before = before - number(call('HGET', KEYS[i], 'claudeNano'))
  else
    before = before - spent_in(scope, KEYS[i])
  end
end
call('HSETNX', scope.meter, field, string.format('%.0f', before))
if minute ~= '' then
  call('HSET', scope.meter, 'dayMinute', minute)
end
-- Names of periods sort by time: the oldest go, but never the one that was asked for, which may begin before
-- others that ran when periods began elsewhere.
local others = {}
for _, name in ipairs(call('HKEYS', scope.meter)) do
  if string.sub(name, 1, #stem) == stem and name ~= field then
    others[#others + 1] = name
  end
end
table.sort(others)
for i = 1, #others - KEPT do
  call('HDEL', scope.meter, others[i])
end
return false
