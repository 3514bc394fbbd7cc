-- Takes a slot of a key's concurrency limit, and the hold, for one request; or neither.
-- KEYS[1] zset of the key's leases: request id -> lease end (ms). KEYS[2] zset of all holds: the same.
-- KEYS[3] the request's hold.
-- ARGV: request id, limit, now (ms), lease end (ms), hold, lifetime of the hold (ms),
-- how much longer than the last lease the key's leases are kept (ms).
-- Returns -1 when the request is in, otherwise how many others have a slot. A request that asks again
-- does not stand in its own way; one that asks again in vain is out.
local id, limit, now, lease_end = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREM', KEYS[1], id)
local used = redis.call('ZCARD', KEYS[1])
if used >= limit then
  redis.call('ZREM', KEYS[2], id)
  redis.call('DEL', KEYS[3])
  return used
end
redis.call('ZADD', KEYS[1], lease_end, id)
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last) + tonumber(ARGV[7])))
redis.call('ZADD', KEYS[2], lease_end, id)
redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[6])
return -1
