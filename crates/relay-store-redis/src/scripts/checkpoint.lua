-- Extends a request's lease and keeps what is known of its usage.
-- KEYS[1] the request's hold. KEYS[2] zset of all holds: request id -> lease end (ms).
-- ARGV: request id, lease end (ms), what is known of the usage ('' keeps what was).
-- Returns false when there is no such hold, otherwise its parts, each false if it has none.
local parts = redis.call('HMGET', KEYS[1], 'admitted', 'key', 'group', 'account')
if not parts[1] then
  return false
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'known', ARGV[3])
end
return {parts[2], parts[3], parts[4]}
