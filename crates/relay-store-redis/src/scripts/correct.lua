-- Corrects what a settled request came to: replaces its record, if that is as it was read, and moves all that
-- it counts in by the difference.
-- KEYS: hash of records, list of statistics that wait to be folded; then the hashes of counters; the
-- counter of the key in all time; sums; of each scope its meter.
-- ARGV: id, record as it was read, record as it should be, cells of statistics or ''. Then, each with its
-- number first: of counters how many fields, of each field its name and the difference; of sums the difference
-- in dollars and the rest of the lifetime (s), '' if it has no end; of scopes the minute in which the request
-- counts, as the digits of year, month, day, hour and minute, the same moment in ms, the difference in
-- nano-dollars of all that is spent and of what is spent on Claude models.
-- Returns {1, what Redis refused of the writes or '', how many statistics wait} when it is done, {0, '', 0} if
-- the record is another or is gone, with nothing done. Raises an error, with nothing done at all, if Redis takes no writes now.
local records, statistics = take_key(), take_key()
local id, read, corrected, cells = take_arg(), take_arg(), take_arg(), take_arg()
if redis.call('HGET', records, id) ~= read then
  return {0, '', 0}
end
-- The first write, while there is nothing to undo: a Redis that takes no writes now stops the script here.
redis.call('HSET', records, id, corrected)

-- From here on nothing may stop the script: what a refused write loses is said, not undone.
local refusal = ''
local function call(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    refusal = answer.err
  end
  return answer
end

local waiting = 0
if cells ~= '' then
  waiting = tonumber(call('RPUSH', statistics, cells)) or 0
end
for _ = 1, take_number() do
  local counter, fields = take_key(), take_number()
  -- Counted once, it is there for as long as it is kept.
  local is_kept = call('EXISTS', counter) == 1
  for _ = 1, fields do
    local field, difference = take_arg(), take_arg()
    if is_kept then
      call('HINCRBY', counter, field, difference)
    end
  end
end
-- Of a key that was purged nothing begins anew.
local is_known = call('EXISTS', take_key()) == 1
for _ = 1, take_number() do
  local sum, difference, rest = take_key(), take_arg(), take_arg()
  if call('EXISTS', sum) == 1 then
    call('INCRBYFLOAT', sum, difference)
  elseif is_known and (rest == '' or tonumber(rest) > 0) then
    -- Nothing had been added to it so far: it is kept as long as it would have been.
    call('INCRBYFLOAT', sum, difference)
    if rest ~= '' then
      call('EXPIRE', sum, rest)
    end
  end
end
for _ = 1, take_number() do
  local meter, minute, counted_at = take_key(), take_number(), take_number()
  local money, claude = take_arg(), take_arg()
  for _, field in ipairs(call('HKEYS', meter)) do
    -- What had been spent in all when a period began. Its name says when that was, as digits.
    local period = string.match(field, '^before:.*:([^:]+)$')
    if period then
      local digits = string.gsub(period, '%D', '')
      local begins = tonumber(string.sub(string.format('%s000000000000', digits), 1, 12))
      if begins and minute < begins then
        call('HINCRBY', meter, field, string.find(field, '^before:claude:') and claude or money)
      end
    end
  end
  local restarted = tonumber(call('HGET', meter, 'restartAt'))
  if restarted and counted_at <= restarted then
    call('HINCRBY', meter, 'restartSpent', money)
    call('HINCRBY', meter, 'restartClaude', claude)
  end
end
return {1, refusal, waiting}
