-- How the ledger's scripts read, check and take limits. It stands before each script that needs it.
-- KEYS and ARGV of a scope, as meter.rs writes them: see `take_scope`, which reads them from the front.
-- Returns nothing: the script that follows does.
--
-- A scope is a key, a group or an account. Its meter, a hash, has what requests in flight hold of it
-- ('held': tokens, money, money of Claude models), the rate window of a group or an account, what had been
-- spent in all when a period began that no counter is for, and when the limits were last started anew and
-- what had been spent in all by then. What was spent is read from usage counters; those of a key, and its
-- window, are v1's: dollars, each under a name of its own. All else is integers, of nano-dollars where it is
-- money. A number of Lua is a double: amounts are exact below 2^53 nano-dollars, nine million dollars.
local call = redis.call
local function number(answer)
  return tonumber(answer) or 0
end

-- Dollars as v1 keeps them, in nano-dollars. Whole and fraction apart: together they are no exact double.
local function nanos(text)
  if type(text) ~= 'string' then
    return 0
  end
  local sign, dollars, fraction = string.match(text, '^(-?)(%d+)%.?(%d*)$')
  if not dollars then
    -- What JavaScript prints of a small number has an exponent.
    return math.floor((tonumber(text) or 0) * 1e9 + 0.5)
  end
  local digits = string.sub(fraction, 1, 15)
  local part = number(digits)
  if #digits <= 9 then
    part = part * 10 ^ (9 - #digits)
  else
    part = math.floor(part / 10 ^ (#digits - 9) + 0.5)
  end
  local sum = number(dollars) * 1e9 + part
  return sign == '-' and -sum or sum
end

-- What a scope's requests in flight hold: tokens, money, money of Claude models.
local function amounts(text)
  if type(text) ~= 'string' then
    return 0, 0, 0
  end
  local tokens, money, claude = string.match(text, '^(%d+) (%d+) (%d+)')
  return number(tokens), number(money), number(claude)
end

-- Sets what is held of a scope; nothing is no field.
local function hold_of(meter, tokens, money, claude)
  tokens, money, claude = math.max(0, tokens), math.max(0, money), math.max(0, claude)
  if tokens + money + claude == 0 then
    call('HDEL', meter, 'held')
  else
    call('HSET', meter, 'held', string.format('%.0f %.0f %.0f', tokens, money, claude))
  end
end

-- A scope's part of a hold says what it holds, whether it has a slot, when the scope's days and weeks
-- begin, and whose it is. Returns the last, whether it has a slot, and the beginnings.
local function part_of(text)
  local slot, starts, id = string.match(text, '^%d+ %d+ %d+ (%d) (%S+) (%S+)$')
  return id, slot == '1', starts
end

local function part(scope, tokens, money, claude, slot)
  return string.format(
    '%.0f %.0f %.0f %d %s %s', tokens, money, claude, slot, scope.starts, scope.id
  )
end

local function take_scope()
  local scope = {budgets = {}}
  scope.leases, scope.meter = take_key(), take_key()
  scope.id, scope.starts = take_arg(), take_arg()
  scope.is_hard = take_arg() == 'hard'
  scope.kind = string.match(scope.id, '^%a+')
  scope.is_v1 = scope.kind == 'key'
  scope.tokens, scope.money = take_number(), take_number()
  -- Nothing where no Claude model is concerned.
  scope.claude = take_number()
  scope.slots, scope.length = take_number(), take_number()
  scope.window_requests, scope.window_tokens = take_number(), take_number()
  scope.window_cost = take_number()
  if scope.is_v1 and scope.length then
    scope.window_names = {take_key(), take_key(), take_key(), take_key()}
  end
  local budgets = take_number()
  if budgets > 0 then
    scope.total = take_key()
    scope.claude_total = scope.is_v1 and take_key()
  end
  for i = 1, budgets do
    local budget = {field = take_arg()}
    budget.start, budget.allowed = take_number(), take_number()
    budget.is_claude = take_arg() == 'claude'
    budget.counter = budget.field == '' and take_key()
    scope.budgets[i] = budget
  end
  return scope
end

-- What a counter of Relay's has of the budgets of a scope: money, money of Claude models. For an account
-- that is the cost, known or presumed, for others the charge.
local function counted_in(scope, counter)
  if scope.kind == 'account' then
    local spent = call('HMGET', counter, 'claudeNano', 'costNano', 'presumedNano')
    return number(spent[2]) + number(spent[3]), number(spent[1])
  end
  local spent = call('HMGET', counter, 'claudeNano', 'chargedNano')
  return number(spent[2]), number(spent[1])
end

-- What a scope has spent in all: money, money of Claude models.
local function spent_in_all(scope)
  if scope.is_v1 then
    local spent = call('MGET', scope.total, scope.claude_total)
    return nanos(spent[1]), nanos(spent[2])
  end
  return counted_in(scope, scope.total)
end

local function spent_in(scope, counter)
  if scope.is_v1 then
    return nanos(call('GET', counter))
  end
  return (counted_in(scope, counter))
end

-- Reads how far a scope's limits are used: `lines`, in the order in which they are checked. `counted`: the
-- beginning of the window in which the request that asks was counted before; it is not in its own way.
-- Returns the position of a budget whose period's beginning is not known yet, or nothing.
local function read_scope(scope, now, counted)
  local fields = {
    'held', 'window', 'windowRequests', 'windowTokens', 'windowCost', 'restartAt', 'restartSpent',
    'restartClaude',
  }
  for i, budget in ipairs(scope.budgets) do
    fields[8 + i] = budget.field
  end
  local own = call('HMGET', scope.meter, unpack(fields))
  local tokens, money, claude = amounts(own[1])
  scope.held_tokens, scope.held_money, scope.held_claude = tokens, money, claude

  local lines = {}
  scope.lines = lines
  local function line(kind, used, held, allowed, weight)
    if allowed then
      lines[#lines + 1] = {kind = kind, used = used, held = held, allowed = allowed, weight = weight}
    end
  end
  if scope.slots then
    local running = call('ZCOUNT', scope.leases, string.format('(%.0f', now), '+inf')
    line('slot', number(running), 0, scope.slots, 1)
  end
  if scope.length then
    local start, requests, used, cost = own[2], number(own[3]), number(own[4]), number(own[5])
    if scope.is_v1 then
      local window = call('MGET', unpack(scope.window_names))
      start, requests, used, cost = window[1], number(window[2]), number(window[3]), nanos(window[4])
    end
    start = tonumber(start)
    if not start or scope.length <= now - start then
      start, requests, used, cost = nil, 0, 0, 0
    end
    scope.window = start
    scope.is_counted = start and counted == start
    requests = scope.is_counted and math.max(0, requests - 1) or requests
    line('request', requests, 0, scope.window_requests, 1)
    line('tokens', used, tokens, scope.window_tokens, scope.tokens)
    line('money', cost, money, scope.window_cost, scope.money)
  end

  local restarted, all, all_claude = tonumber(own[6]), nil, nil
  for i, budget in ipairs(scope.budgets) do
    local has_restarted = restarted and budget.start <= restarted
    local spent
    if has_restarted or not budget.counter then
      if not all then
        all, all_claude = spent_in_all(scope)
      end
      local before = own[8 + i]
      if has_restarted then
        before = own[budget.is_claude and 8 or 7]
      elseif not before then
        return i
      end
      spent = (budget.is_claude and all_claude or all) - number(before)
    else
      spent = spent_in(scope, budget.counter)
    end
    if budget.is_claude then
      line('claude', math.max(0, spent), claude, budget.allowed, scope.claude)
    else
      line('money', math.max(0, spent), money, budget.allowed, scope.money)
    end
  end
end

-- The first line of a scope on which a request that is new to it has no room, or nothing. A limit that is
-- used up lets nothing in, not even what weighs nothing; if it is soft, any room is enough.
local function full_line(scope)
  for i, line in ipairs(scope.lines) do
    local taken = line.used + line.held
    local over = scope.is_hard and line.weight and line.allowed < taken + line.weight
    if line.weight and (line.allowed <= taken or over) then
      return i
    end
  end
end

-- A denial: the scope and its line by their positions, how far it is used, when its window began (or 0).
local function denial(position, scope, line)
  local full = scope.lines[line]
  return {0, position, line, full.used, full.held, scope.window or 0}
end

-- Appends how far a scope's limits are used: when its window began (or 0), then used and held of each line.
local function tell(answer, scope)
  answer[#answer + 1] = scope.window or 0
  for _, line in ipairs(scope.lines) do
    answer[#answer + 1] = line.used
    answer[#answer + 1] = line.held
  end
end

-- Keeps a scope's leases for `grace` longer than the last of them.
local function keep_leases(leases, grace)
  local last = call('ZREVRANGE', leases, 0, 0, 'WITHSCORES')[2]
  if last then
    call('PEXPIREAT', leases, string.format('%.0f', tonumber(last) + tonumber(grace)))
  end
end

-- Counts a request in a scope's window, which it opens if none is open: at once and with an end, unlike v1.
local function count_in_window(scope, now)
  local names = scope.window_names
  if not scope.window then
    scope.window = now
    local start, length = string.format('%.0f', now), string.format('%.0f', scope.length)
    if scope.is_v1 then
      call('SET', names[1], start, 'PX', length)
      call('SET', names[2], 1, 'PX', length)
      call('SET', names[3], 0, 'PX', length)
      call('SET', names[4], 0, 'PX', length)
    else
      call(
        'HSET', scope.meter, 'window', start, 'windowRequests', 1, 'windowTokens', 0, 'windowCost', 0
      )
    end
  elseif scope.is_counted then
    return
  elseif scope.is_v1 then
    local left = call('PTTL', names[1])
    local began = call('INCR', names[2]) == 1
    if left < 0 then
      left = math.max(1, scope.window + scope.length - now)
      for i = 1, 4 do
        call('PEXPIRE', names[i], string.format('%.0f', left))
      end
    elseif began then
      call('PEXPIRE', names[2], left)
    end
  else
    call('HINCRBY', scope.meter, 'windowRequests', 1)
  end
end

-- Takes from a scope what a request weighs on it: slot, window, hold. Returns its part of the hold. A slot
-- also where slots are not limited: they may be before the request has ended.
local function take(scope, id, now, lease_end, grace)
  local claude = scope.claude or 0
  call('ZREMRANGEBYSCORE', scope.leases, '-inf', string.format('%.0f', now))
  call('ZADD', scope.leases, lease_end, id)
  keep_leases(scope.leases, grace)
  if scope.length then
    count_in_window(scope, now)
  end
  hold_of(
    scope.meter, scope.held_tokens + scope.tokens, scope.held_money + scope.money,
    scope.held_claude + claude
  )
  for _, line in ipairs(scope.lines) do
    if line.kind == 'slot' or line.kind == 'request' then
      line.used = line.used + 1
    else
      line.held = line.held + (line.weight or 0)
    end
  end
  return part(scope, scope.tokens, scope.money, claude, 1)
end

-- Takes a part of a hold back from its scope.
local function give_back(text, leases, meter, id)
  local tokens, money, claude = amounts(text)
  local held_tokens, held_money, held_claude = amounts(call('HGET', meter, 'held'))
  hold_of(meter, held_tokens - tokens, held_money - money, held_claude - claude)
  call('ZREM', leases, id)
end

