-- Takes one of the places in a line, unless all are taken.
-- KEYS[1] zset of the line: request id -> end of its place (ms).
-- ARGV: request id, how many places there are, now (ms), end of the place (ms).
-- Returns 1 if the request has one, otherwise 0.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and tonumber(ARGV[2]) <= redis.call('ZCARD', KEYS[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last)))
return 1
