-- Extends a request's lease and keeps what is known of its usage.
-- KEYS[1] the request's hold, in three lines: the id of the key whose slot it has (or nothing), what was
-- admitted, what is known of the usage. KEYS[2] zset of all holds: request id -> lease end (ms).
-- ARGV: request id, lease end (ms), what is known of the usage ('' keeps what was), lifetime (ms).
-- Returns false when there is no such hold, otherwise its first line.
local hold = redis.call('GET', KEYS[1])
if not hold then
  return false
end
local slot_end = string.find(hold, '\n', 1, true)
if ARGV[3] ~= '' then
  local admitted_end = string.find(hold, '\n', slot_end + 1, true)
  hold = table.concat({string.sub(hold, 1, admitted_end), ARGV[3]})
end
redis.call('SET', KEYS[1], hold, 'PX', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return string.sub(hold, 1, slot_end - 1)
