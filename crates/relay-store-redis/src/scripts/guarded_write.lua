-- Does a list of writes if what they were decided on still holds.
-- KEYS: whatever is compared or written.
-- ARGV[1] JSON: {"guards": [[key position, field, value or false], ...], "writes": [[command, key position,
-- argument, ...], ...]}. A guard holds if the hash's field has the value, is absent (false) or is there (true);
-- with the field '' it holds if the key exists (true), does not (false), or holds that text.
-- Returns the position (from 1) of the first guard that does not hold, with nothing done; otherwise 0.
local plan = cjson.decode(ARGV[1])
for i, guard in ipairs(plan.guards) do
  local key, field, expected = KEYS[guard[1]], guard[2], guard[3]
  local holds
  if field == '' and type(expected) == 'string' then
    holds = redis.call('GET', key) == expected
  elseif field == '' then
    holds = (redis.call('EXISTS', key) == 1) == (expected ~= false)
  elseif expected == true then
    holds = redis.call('HEXISTS', key, field) == 1
  else
    holds = redis.call('HGET', key, field) == expected
  end
  if not holds then
    return i
  end
end
for _, write in ipairs(plan.writes) do
  redis.call(write[1], KEYS[write[2]], unpack(write, 3))
end
return 0
