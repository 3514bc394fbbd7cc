-- Takes in how far statistics have been made elsewhere, unless there are some here.
-- KEYS[1] the state, KEYS[2] list of cells that wait to be folded.
-- ARGV: the state ('' if there is none); cells.
-- Returns 1 when it is done, 0 when there are statistics, with nothing done.
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
  return 0
end
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1])
end
for i = 2, #ARGV do
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
return 1
