-- Extends the slot that a request has of its key's concurrency limit, unless it has lost it.
-- KEYS[1] zset of the key's leases: request id -> lease end (ms).
-- ARGV: request id, lease end (ms), how much longer than the last lease the key's leases are kept (ms).
-- Returns nothing.
redis.call('ZADD', KEYS[1], 'XX', ARGV[2], ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if last then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last) + tonumber(ARGV[3])))
end
return false
