-- Writes segments of statistics and drops what they were made of, if nobody else has changed any meanwhile.
-- KEYS[1] the state, KEYS[2] list of cells that wait to be folded; then the hashes of segments that are
-- written; then those that have outlived their bound.
-- ARGV: the state that the change was made from ('' if there was none), the state afterwards, how many of the
-- waiting cells are folded, how many segments are written. Then of each of them how many parts it has, parts.
-- Returns 1 when it is done, 0 when the state was another, with nothing done.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[2], ARGV[3], -1)
local written, arg = tonumber(ARGV[4]), 5
for i = 3, 2 + written do
  redis.call('UNLINK', KEYS[i])
  for part = 1, tonumber(ARGV[arg]) do
    redis.call('HSET', KEYS[i], part - 1, ARGV[arg + part])
  end
  arg = arg + 1 + tonumber(ARGV[arg])
end
for i = 3 + written, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 1
