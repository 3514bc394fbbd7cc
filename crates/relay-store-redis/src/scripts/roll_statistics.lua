-- Puts segments of statistics in the place of older ones and drops what they were made of, if nobody else has
-- changed any meanwhile.
-- KEYS[1] the state, KEYS[2] list of cells that wait to be folded; then the hashes that are to become segments,
-- the segments that they are to become, and the segments that have outlived their bound.
-- ARGV: the state that the change was made from ('' if there was none), the state afterwards, how many of the
-- waiting cells are folded, how many segments are put in place.
-- Returns 1 when it is done, 0 when the state was another or a new segment is not there any more, with nothing
-- done.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
local made = tonumber(ARGV[4])
for i = 3, 2 + made do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[2], ARGV[3], -1)
for i = 3, 2 + made do
  -- RENAME would free what was there while everybody waits.
  redis.call('UNLINK', KEYS[i + made])
  redis.call('RENAME', KEYS[i], KEYS[i + made])
  redis.call('PERSIST', KEYS[i + made])
end
for i = 3 + 2 * made, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 1
