-- Ends requests: removes their holds and slots, keeps their records, writes their bindings, dates the keys
-- and accounts that they used, and adds up their usage. All of them or, if one is not held, none.
-- KEYS: zset of all holds, hash of records, zset of record ids by arrival, zset of key ids by use, list of
-- statistics that wait to be folded; then the requests' holds; their keys' zsets of leases; bindings; API
-- keys; accounts; and of each counter the hashes of total, month, day and hour.
-- ARGV: how many requests, bindings, API keys, accounts and counters there are; how many records are
-- kept; now (ms) if only requests whose lease has ended may be settled, otherwise ''. Then of each
-- request: id, record, arrival (ms); of each binding: value, lifetime (ms); of each API key: id, time of
-- use as text, the same in ms; of each account: time of use as text; of each counter: 'full' or 'model',
-- and ten increments in the order of FIELDS. The rest goes to the list of statistics.
-- Returns an array: nothing if all are done; positions (from 0) of those that are not held, with nothing
-- done at all; or a text if all are done but for a write that Redis refused (a foreign value under one of
-- the names). Raises an error, with nothing done at all, if Redis takes no writes now.
local YEAR, MONTH, WEEK = 31536000, 2764800, 604800 -- Seconds; a month is 32 days, as in v1.
local FIELDS = {
  'requests', 'inputTokens', 'outputTokens', 'cacheCreateTokens', 'cacheReadTokens',
  'ephemeral5mTokens', 'ephemeral1hTokens', 'costNano', 'chargedNano',
  'unpricedRequests',
}
local TOTAL_FIELDS = {
  'totalRequests', 'totalInputTokens', 'totalOutputTokens', 'totalCacheCreateTokens',
  'totalCacheReadTokens', 'totalEphemeral5mTokens', 'totalEphemeral1hTokens', 'costNano',
  'chargedNano', 'unpricedRequests',
}
local requests, bindings, api_keys, accounts, counters =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local capacity, ended_by = tonumber(ARGV[6]), tonumber(ARGV[7])
local holds, records, record_index, keys_by_use = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key, arg = 5, 7

local all_held = redis.call('EXISTS', unpack(KEYS, key + 1, key + requests)) == requests
if not all_held or ended_by then
  local missing = {}
  for i = 1, requests do
    local held = redis.call('EXISTS', KEYS[key + i]) == 1
    if held and ended_by then
      local lease_end = redis.call('ZSCORE', holds, ARGV[arg + 3 * i - 2])
      held = lease_end and tonumber(lease_end) <= ended_by
    end
    if not held then
      missing[#missing + 1] = i - 1
    end
  end
  if #missing > 0 then
    return missing
  end
end

-- The first write, while there is nothing to undo: a Redis that takes no writes now stops the script here.
redis.call('DEL', unpack(KEYS, key + 1, key + requests))

-- From here on nothing may stop the script: what a refused write loses is said, not undone.
local refusal
local function call(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    refusal = answer.err
  end
  return answer
end

for i = 1, requests do
  local id = ARGV[arg + 1]
  call('ZREM', holds, id)
  call('ZREM', KEYS[key + requests + i], id)
  call('HSET', records, id, ARGV[arg + 2])
  call('ZADD', record_index, ARGV[arg + 3], id)
  arg = arg + 3
end
key = key + 2 * requests
local kept = call('ZCARD', record_index)
if type(kept) == 'number' and kept > capacity then
  -- More than come in, so that a smaller capacity is reached; not all at once, for nobody else is served.
  local oldest = call('ZPOPMIN', record_index, math.min(kept - capacity, 2 * requests + 100))
  for i = 1, #oldest, 2 do
    call('HDEL', records, oldest[i])
  end
end

for _ = 1, bindings do
  -- v2 keeps a hash under the same name; SET replaces it.
  call('SET', KEYS[key + 1], ARGV[arg + 1], 'PX', ARGV[arg + 2])
  key, arg = key + 1, arg + 2
end
for _ = 1, api_keys do
  if redis.call('EXISTS', KEYS[key + 1]) == 1 then
    call('HSET', KEYS[key + 1], 'lastUsedAt', ARGV[arg + 2])
    call('EXPIRE', KEYS[key + 1], YEAR)
    call('ZADD', keys_by_use, 'XX', ARGV[arg + 3], ARGV[arg + 1])
  end
  key, arg = key + 1, arg + 3
end
for _ = 1, accounts do
  if redis.call('EXISTS', KEYS[key + 1]) == 1 then
    call('HSET', KEYS[key + 1], 'lastUsedAt', ARGV[arg + 1])
  end
  key, arg = key + 1, arg + 1
end

local LIFETIMES = {false, YEAR, MONTH, WEEK}
for _ = 1, counters do
  local is_model = ARGV[arg + 1] == 'model'
  local core = tonumber(ARGV[arg + 3]) + tonumber(ARGV[arg + 4])
  local all = core + tonumber(ARGV[arg + 5]) + tonumber(ARGV[arg + 6])
  for p = 1, 4 do
    local hash, total = KEYS[key + p], p == 1 and not is_model
    local fields = total and TOTAL_FIELDS or FIELDS
    for f = 1, 10 do
      local increment = ARGV[arg + 1 + f]
      if increment ~= '0' then
        call('HINCRBY', hash, fields[f], increment)
      end
    end
    if not is_model and core > 0 then
      call('HINCRBY', hash, total and 'totalTokens' or 'tokens', string.format('%.0f', core))
    end
    if all > 0 then
      call('HINCRBY', hash, total and 'totalAllTokens' or 'allTokens', string.format('%.0f', all))
    end
    if LIFETIMES[p] then
      call('EXPIRE', hash, LIFETIMES[p])
    end
  end
  key, arg = key + 4, arg + 11
end
for i = arg + 1, #ARGV do
  call('RPUSH', KEYS[5], ARGV[i])
end
if refusal then
  return {refusal}
end
return {}
