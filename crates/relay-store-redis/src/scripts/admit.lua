-- Lets a request in, or says which limit keeps it out: checks the limits of its key and its group, opens
-- and counts their windows, takes slots and the hold; all of it or none.
-- KEYS: zset of all holds: request id -> lease end (ms); the request's hold; then those of each scope.
-- ARGV: request id, now (ms), lease end (ms), what is admitted, how much longer than the last lease a
-- scope's leases are kept (ms), how many scopes; then those of each scope.
-- Returns {1, and of the key when its window began and how far its limits are used} when it is in;
-- {0, a denial} when it is not; {2, parts of its hold} when it asks again and was in with a scope that is not
-- among these; or {4, scope, budget} when the beginning of that budget's period is not known yet; in these
-- two cases it is as before. A request that asks again does not stand in its own way, and counts
-- in a window once; one that asks again in vain is out.
local holds, hold = take_key(), take_key()
local id, now, lease_end, admitted, grace =
  take_arg(), take_number(), take_arg(), take_arg(), take_arg()
local scopes, by_id = {}, {}
for i = 1, take_number() do
  scopes[i] = take_scope()
  by_id[scopes[i].id] = scopes[i]
end

-- The index first, while there is nothing to undo: a Redis that takes no writes now, or is full, stops the
-- script here. An entry of the index without a hold is nothing, a hold that is not in it is never reaped.
call('ZADD', holds, lease_end, id)

for i, scope in ipairs(scopes) do
  local unknown = read_scope(scope, now)
  if unknown then
    return {4, i, unknown}
  end
end
local parts = call('HMGET', hold, 'key', 'group', 'account')
local is_again = parts[1] or parts[2] or parts[3]
for i = 1, 3 do
  if parts[i] and not by_id[part_of(parts[i])] then
    return {2, parts[1], parts[2], parts[3]}
  end
end
for i = 1, 3 do
  if parts[i] then
    local scope = by_id[part_of(parts[i])]
    give_back(parts[i], scope.leases, scope.meter, id)
  end
end

local denied
for i, scope in ipairs(scopes) do
  if is_again then
    read_scope(scope, now, tonumber(call('HGET', hold, scope.id)))
  end
  local line = not denied and full_line(scope)
  if line then
    denied = denial(i, scope, line)
  end
end

if denied then
  for _, scope in ipairs(scopes) do
    if scope.is_counted then
      if scope.is_v1 then
        call('DECR', scope.window_names[2])
      else
        call('HINCRBY', scope.meter, 'windowRequests', -1)
      end
    end
  end
  call('ZREM', holds, id)
  call('DEL', hold)
  return denied
end

local fields = {'admitted', admitted}
for _, scope in ipairs(scopes) do
  fields[#fields + 1] = scope.kind
  fields[#fields + 1] = take(scope, id, now, lease_end, grace)
  if scope.window then
    fields[#fields + 1] = scope.id
    fields[#fields + 1] = string.format('%.0f', scope.window)
  end
end
call('DEL', hold)
call('HSET', hold, unpack(fields))
local answer = {1}
if scopes[1] and scopes[1].kind == 'key' then
  tell(answer, scopes[1])
end
return answer
