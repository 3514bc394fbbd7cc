-- How a script reads KEYS and ARGV: each from the front. It stands before each script that does.
-- Returns nothing: the script that follows does.
local key_at, arg_at = 0, 0

local function take_key()
  key_at = key_at + 1
  return KEYS[key_at]
end

local function take_arg()
  arg_at = arg_at + 1
  return ARGV[arg_at]
end

local function take_number()
  return tonumber(take_arg())
end
