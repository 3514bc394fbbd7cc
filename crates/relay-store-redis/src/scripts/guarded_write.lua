-- Does a list of writes if what they were decided on still holds.
-- KEYS: whatever is compared or written.
-- ARGV[1] JSON: {"guards": [[key position, field, value or false], ...], "writes": [[command, key position,
-- argument, ...], ...], "raises": [{"sum": key position, "known": key position, "since": [key positions],
-- "known_since": [key positions], "lifetime": seconds}, ...]}. A guard holds if the hash's field has the value, is absent (false) or is there (true);
-- with the field '' it holds if the key exists (true), does not (false), or holds that text.
-- A raise brings a sum of dollars to what must have been spent at most since its beginning, if it has less:
-- `since` are sums of all that was spent since then, `known` is a sum that began elsewhere, and `known_since` all
-- that was spent since that.
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

local function spent_in_all_of(positions)
  local all = 0
  for _, position in ipairs(positions) do
    all = all + nanos(call('GET', KEYS[position]))
  end
  return all
end
for _, raise in ipairs(plan.raises) do
  local sum, all = KEYS[raise.sum], spent_in_all_of(raise.since)
  local earlier = math.max(0, all - spent_in_all_of(raise.known_since))
  local spent = math.min(all, nanos(call('GET', KEYS[raise.known])) + earlier)
  local missing = spent - nanos(call('GET', sum))
  if missing > 0 then
    local text = string.format('%d.%09d', math.floor(missing / 1e9), missing % 1e9)
    call('INCRBYFLOAT', sum, text)
    call('EXPIRE', sum, raise.lifetime)
  end
end
return 0
