-- Ends requests: gives back what they hold, keeps their records, writes their bindings, dates the keys and
-- accounts that they used, and adds up their usage. All of them or, if one is not held, none.
-- KEYS: zset of all holds, hash of records, zset of record ids by arrival, zset of API key ids by use, stream
-- of billing events, list of statistics that wait to be folded; then the requests' holds; then as ARGV
-- counts them: of each scope zset of its leases and its meter, of a key's also v1's beginning, tokens and cost of its window and the
-- key itself; bindings; API keys; accounts; the
-- hashes of each counter; sums; of each index the set and v1's note that it is empty; lists; of each watched
-- scope those of a scope.
-- ARGV: how many requests; how many records are kept; now (ms) if only requests whose lease has ended may
-- be settled, otherwise ''. Of each request: id, record, arrival (ms). Then, each with its number first:
-- of scopes id, when its days and weeks begin ('*': whenever), the minute at which its days begin and the
-- field of its meter that tells of the beginning of the present one ('' if nothing counts), tokens, nano-dollars and dollars for its
-- window, of a key's also day and hour at which the week begins in which it counts; of bindings
-- value, lifetime (ms); of API keys id, time of use as text, the same in ms; of accounts time of use as text;
-- of counters family, what the names of its fields begin with in a hash of others, and amounts in the order of
-- FIELDS; of sums (dollars under a name of their own) amount, lifetime (s) or ''; of indexes lifetime (s) or
-- '', how many members, members; of lists how many entries, entries; of billing events the position of its
-- API key and three parts, between which the key's name and user go; of statistics cells; of watched scopes now (ms) and those of
-- a scope.
-- Returns an array. {0, what Redis refused of the writes or '', then of each watched scope as {standing.lua}
-- tells it before the settlement, and what is held of it now} when all are done. With nothing done at all:
-- {1, positions (from 0) of those that are not held}; {2, parts of holds in scopes that are not among these or
-- have other beginnings, which a key's own word ends}; {4, watched scope, budget} or {5, scope} when the beginning of that budget's period, or
-- of that scope's day, is not known yet. Raises an error, with nothing done at all, if Redis takes no writes now.
local DAY, RECORDS_OF_KEY, EVENTS = 86400, 200, 100000
local YEAR, MONTH, WEEK, TEN_MINUTES = 365 * DAY, 32 * DAY, 7 * DAY, 600

-- What is counted, as v1 names it in the hash of a period. The first nine are always there, like v1's.
local FIELDS = {
  'requests', 'inputTokens', 'outputTokens', 'cacheCreateTokens', 'cacheReadTokens', 'ephemeral5mTokens',
  'ephemeral1hTokens', 'allTokens', 'tokens', 'costNano', 'chargedNano', 'unpricedRequests', 'claudeNano',
  'realCostMicro', 'ratedCostMicro', 'presumedNano',
}
local V1_FIELDS = 9
local TOTAL = {
  'totalRequests', 'totalInputTokens', 'totalOutputTokens', 'totalCacheCreateTokens',
  'totalCacheReadTokens', 'totalEphemeral5mTokens', 'totalEphemeral1hTokens', 'totalAllTokens',
  'totalTokens', 'costNano', 'chargedNano', 'unpricedRequests', false,
}
local ACCOUNT_TOTAL = {unpack(TOTAL)}
ACCOUNT_TOTAL[13], ACCOUNT_TOTAL[16] = 'claudeNano', 'presumedNano'
local MINUTE = {
  'requests', 'inputTokens', 'outputTokens', 'cacheCreateTokens', 'cacheReadTokens', false, false,
  'totalTokens',
}
local function without(...)
  local fields = {}
  for i, field in ipairs(FIELDS) do
    fields[i] = field
  end
  for _, i in ipairs({...}) do
    fields[i] = false
  end
  return fields
end
local KEY, ACCOUNT, GROUP = without(13, 14, 15, 16), without(14, 15), without(14, 15, 16)
local MODEL, V1_MODEL = without(9, 13, 14, 15, 16), without(9, 10, 11, 12, 13, 14, 15, 16)
local KEY_MODEL, ALL_TIME = without(9, 10, 11, 12, 13, 16), without(8, 9, 10, 11, 12, 13, 16)
-- The hashes of each family, in the order of their names: fields, lifetime (s) from the first count on,
-- whether it is a hash of others.
local FAMILIES = {
  key = {{TOTAL}, {KEY, YEAR}, {KEY, MONTH}, {KEY, WEEK}},
  account = {{ACCOUNT_TOTAL}, {ACCOUNT, YEAR}, {ACCOUNT, MONTH}, {ACCOUNT, WEEK}},
  group = {{GROUP}, {GROUP, YEAR}, {GROUP, MONTH}, {GROUP, WEEK}},
  model = {{MODEL}, {MODEL, YEAR}, {MODEL, MONTH}, {MODEL, WEEK}},
  key_model = {{ALL_TIME}, {KEY_MODEL, YEAR}, {KEY_MODEL, MONTH}, {KEY_MODEL, WEEK}},
  account_model = {{V1_MODEL, WEEK, true}, {V1_MODEL, YEAR}, {V1_MODEL, MONTH}, {V1_MODEL, WEEK}},
  global = {{V1_MODEL}, {V1_MODEL, YEAR}, {V1_MODEL, MONTH}},
  minute = {{MINUTE, TEN_MINUTES}},
}

local holds, records, record_index, keys_by_use, events, statistics =
  take_key(), take_key(), take_key(), take_key(), take_key(), take_key()
local requests, capacity, ended_by = take_number(), take_number(), take_number()
-- As commands take them.
local hold_names, ids, kept_records, arrivals = {}, {}, {}, {}
for i = 1, requests do
  local id = take_arg()
  hold_names[i], ids[i] = take_key(), id
  kept_records[2 * i - 1], kept_records[2 * i] = id, take_arg()
  arrivals[2 * i - 1], arrivals[2 * i] = take_arg(), id
end
local scopes, by_id = {}, {}
for i = 1, take_number() do
  local scope = {leases = take_key(), meter = take_key(), id = take_arg(), starts = take_arg()}
  scope.day_minute, scope.day_field = take_arg(), take_arg()
  scope.tokens, scope.nanos, scope.dollars = take_arg(), take_arg(), take_arg()
  if string.find(scope.id, '^key:') then
    scope.window, scope.window_tokens, scope.window_cost = take_key(), take_key(), take_key()
    scope.api_key, scope.week = take_key(), take_arg()
  end
  scope.back, scope.left = {0, 0, 0}, {}
  scopes[i], by_id[scope.id] = scope, scope
end

local missing, elsewhere, unknown = {1}, {2}, nil
for i = 1, requests do
  local hold = call('HMGET', hold_names[i], 'admitted', 'key', 'group', 'account')
  local held = hold[1]
  if held and ended_by then
    local lease_end = call('ZSCORE', holds, ids[i])
    held = lease_end and tonumber(lease_end) <= ended_by
  end
  if not held then
    missing[#missing + 1] = i - 1
  end
  for p = 2, 4 do
    if held and hold[p] then
      local id, has_slot, starts = part_of(hold[p])
      local scope = by_id[id]
      if not scope or (scope.window and scope.starts ~= '*' and scope.starts ~= starts) then
        elsewhere[#elsewhere + 1] = hold[p]
      else
        local tokens, money, claude = amounts(hold[p])
        local back = scope.back
        back[1], back[2], back[3] = back[1] + tokens, back[2] + money, back[3] + claude
        scope.has_back = true
        if has_slot then
          scope.left[#scope.left + 1] = ids[i]
        end
      end
    end
  end
end
-- A number of a key, as JavaScript reads it; what is not within its bounds is the least.
local function bounded(text, least, most)
  local value = tonumber(text and string.match(text, '^%s*(%d+)'))
  return value and least <= value and value <= most and value or least
end
for _, scope in ipairs(scopes) do
  -- It counts in the week of the key as it is now, which may have been changed since it began.
  if scope.window and scope.day_field ~= '' then
    local key = call('HMGET', scope.api_key, 'id', 'weeklyResetDay', 'weeklyResetHour')
    local week = string.format('%d/%d', bounded(key[2], 1, 7), bounded(key[3], 0, 23))
    if key[1] and week ~= scope.week then
      elsewhere[#elsewhere + 1] = string.format('0 0 0 0 0/%s %s', week, scope.id)
    end
  end
end
for i, scope in ipairs(scopes) do
  -- A day that begins within an hour has no counter: see begin_period.lua.
  local minute = not scope.window and call('HGET', scope.meter, 'dayMinute')
  if scope.day_field == '' then
    -- Nothing counts here.
  elseif minute and minute ~= scope.day_minute then
    elsewhere[#elsewhere + 1] = string.format('0 0 0 0 %s/1/0 %s', minute, scope.id)
  elseif minute and call('HEXISTS', scope.meter, scope.day_field) == 0 then
    unknown = unknown or {5, i}
  end
end
if #missing > 1 then
  return missing
elseif #elsewhere > 1 then
  return elsewhere
elseif unknown then
  return unknown
end

-- What follows the scopes is read as it is written, but for the watched: how they stand is read before.
local watched, plan = {}, {}
local function section(keys, read)
  local entries = {}
  for i = 1, take_number() do
    local entry = {}
    for k = 1, keys do
      entry[k] = take_key()
    end
    read(entry)
    entries[i] = entry
  end
  return entries
end
local function take_list(entry)
  entry.members = {}
  for m = 1, take_number() do
    entry.members[m] = take_arg()
  end
end
plan.bindings = section(1, function(entry)
  entry.value, entry.lifetime = take_arg(), take_arg()
end)
plan.api_keys = section(1, function(entry)
  entry.id, entry.used, entry.used_ms = take_arg(), take_arg(), take_arg()
end)
plan.accounts = section(1, function(entry)
  entry.used = take_arg()
end)
plan.counters = section(0, function(entry)
  entry.family, entry.stem = FAMILIES[take_arg()], take_arg()
  for h = 1, #entry.family do
    entry[h] = take_key()
  end
  entry.amounts = arg_at
  arg_at = arg_at + #FIELDS
end)
plan.sums = section(1, function(entry)
  entry.amount, entry.lifetime = take_arg(), take_arg()
end)
plan.indexes = section(2, function(entry)
  entry.lifetime = take_arg()
  take_list(entry)
end)
plan.lists = section(1, take_list)
plan.events = section(0, function(entry)
  entry.api_key = take_number()
  entry.head, entry.middle, entry.tail = take_arg(), take_arg(), take_arg()
end)
plan.statistics = section(0, function(entry)
  entry.cells = take_arg()
end)
for i = 1, take_number() do
  local now = take_number()
  watched[i] = take_scope()
  local budget = read_scope(watched[i], now)
  if budget then
    return {4, i, budget}
  end
end

-- The first write, while there is nothing to undo: a Redis that takes no writes now stops the script here.
redis.call('DEL', unpack(hold_names))

-- From here on nothing may stop the script: what a refused write loses is said, not undone.
local refusal = ''
local pcall_redis = redis.pcall
call = function(...)
  local answer = pcall_redis(...)
  if type(answer) == 'table' and answer.err then
    refusal = answer.err
  end
  return answer
end

call('ZREM', holds, unpack(ids))
call('HSET', records, unpack(kept_records))
call('ZADD', record_index, unpack(arrivals))
local kept = number(call('ZCARD', record_index))
if kept > capacity then
  -- More than come in, so that a smaller capacity is reached; not all at once, for nobody else is served.
  local oldest = call('ZPOPMIN', record_index, math.min(kept - capacity, 2 * requests + 100))
  local gone = {}
  for i = 1, #oldest, 2 do
    gone[#gone + 1] = oldest[i]
  end
  call('HDEL', records, unpack(gone))
end

for _, scope in ipairs(scopes) do
  if scope.has_back then
    local tokens, money, claude = amounts(call('HGET', scope.meter, 'held'))
    local back = scope.back
    hold_of(scope.meter, tokens - back[1], money - back[2], claude - back[3])
  end
  if #scope.left > 0 then
    call('ZREM', scope.leases, unpack(scope.left))
  end
  if scope.tokens == '0' and scope.nanos == '0' then
    -- Nothing counts in its window.
  elseif scope.window then
    local left = number(call('PTTL', scope.window))
    -- Only in a window that is open, and never longer than that is.
    if left > 0 then
      if call('INCRBY', scope.window_tokens, scope.tokens) == tonumber(scope.tokens) then
        call('PEXPIRE', scope.window_tokens, left)
      end
      call('INCRBYFLOAT', scope.window_cost, scope.dollars)
      if number(call('PTTL', scope.window_cost)) < 0 then
        call('PEXPIRE', scope.window_cost, left)
      end
    end
  elseif call('HEXISTS', scope.meter, 'window') == 1 then
    call('HINCRBY', scope.meter, 'windowTokens', scope.tokens)
    call('HINCRBY', scope.meter, 'windowCost', scope.nanos)
  end
end

for _, binding in ipairs(plan.bindings) do
  -- v2 keeps a hash under the same name; SET replaces it.
  call('SET', binding[1], binding.value, 'PX', binding.lifetime)
end
for _, api_key in ipairs(plan.api_keys) do
  local known = call('HMGET', api_key[1], 'id', 'name', 'userId')
  api_key.name, api_key.user = known[2], known[3]
  if known[1] then
    call('HSET', api_key[1], 'lastUsedAt', api_key.used)
    call('EXPIRE', api_key[1], YEAR)
    call('ZADD', keys_by_use, 'XX', api_key.used_ms, api_key.id)
  end
end
for _, account in ipairs(plan.accounts) do
  if call('EXISTS', account[1]) == 1 then
    call('HSET', account[1], 'lastUsedAt', account.used)
  end
end

for _, counter in ipairs(plan.counters) do
  for h, form in ipairs(counter.family) do
    local hash, fields, lifetime, is_among_others = counter[h], form[1], form[2], form[3]
    local is_new = false
    for f = 1, #FIELDS do
      local field, amount = fields[f], ARGV[counter.amounts + f]
      if field and (amount ~= '0' or (is_new and f <= V1_FIELDS)) then
        if is_among_others then
          field = string.format('%s%s', counter.stem, field)
        end
        local sum = call('HINCRBY', hash, field, amount)
        is_new = is_new or (f == 1 and sum == tonumber(amount))
      end
    end
    if is_new and lifetime then
      call('EXPIRE', hash, lifetime)
    end
  end
end
for _, sum in ipairs(plan.sums) do
  call('INCRBYFLOAT', sum[1], sum.amount)
  if sum.lifetime ~= '' then
    call('EXPIRE', sum[1], sum.lifetime)
  end
end
for _, index in ipairs(plan.indexes) do
  if number(call('SADD', index[1], unpack(index.members))) > 0 then
    if index.lifetime ~= '' then
      call('EXPIRE', index[1], index.lifetime)
    end
    call('DEL', index[2])
  end
end
for _, list in ipairs(plan.lists) do
  call('LPUSH', list[1], unpack(list.members))
  call('LTRIM', list[1], 0, RECORDS_OF_KEY - 1)
  call('EXPIRE', list[1], 90 * DAY)
end
for _, event in ipairs(plan.events) do
  local api_key = plan.api_keys[event.api_key]
  local function json(text)
    return type(text) == 'string' and text ~= '' and cjson.encode(text) or 'null'
  end
  local parts = {event.head, json(api_key.name), event.middle, json(api_key.user), event.tail}
  call('XADD', events, 'MAXLEN', '~', EVENTS, '*', 'data', table.concat(parts))
end
for _, entry in ipairs(plan.statistics) do
  call('RPUSH', statistics, entry.cells)
end

local answer = {0, refusal}
for _, scope in ipairs(watched) do
  tell(answer, scope)
  local held = {amounts(call('HGET', scope.meter, 'held'))}
  for i = 1, 3 do
    answer[#answer + 1] = held[i]
  end
end
return answer
