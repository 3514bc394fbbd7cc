-- Extends the slot that a held request has in one scope; if it was lost with its lease, takes it again.
-- KEYS[1] zset of the scope's leases: request id -> lease end (ms). KEYS[2] the request's hold.
-- ARGV: request id, lease end (ms), how much longer than the last lease the leases are kept (ms).
-- Returns nothing.
if redis.call('HEXISTS', KEYS[2], 'admitted') == 0 then
  -- It has ended meanwhile.
  return false
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last) + tonumber(ARGV[3])))
return false
