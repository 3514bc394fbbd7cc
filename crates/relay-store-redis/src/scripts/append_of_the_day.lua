-- Adds an event that is told once a day for each model.
-- KEYS[1] zset of events. KEYS[2] hash of the day: model -> id of the event that tells of it.
-- ARGV: model, event id, member of the zset, most models of a day, lifetime of the hash (s).
-- Returns 1 if the event is the day's first about its model, also if it was added before, else 0.
local model, id = ARGV[1], ARGV[2]
local told = redis.call('HGET', KEYS[2], model)
if not told then
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then
    return 0
  end
  redis.call('HSET', KEYS[2], model, id)
  redis.call('EXPIRE', KEYS[2], ARGV[5])
elseif told ~= id then
  return 0
end
redis.call('ZADD', KEYS[1], 0, ARGV[3])
return 1
