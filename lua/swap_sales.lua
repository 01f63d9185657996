-- swap_sales: puts day scores that were rebuilt from the store in place of the standing ones, with their mark.
--
-- KEYS[1]  ranking:{sales}:applied     string: the last event counted
-- KEYS[2..] ranking:{sales}:YYYY-MM-DD and its staged key, in turn: sorted sets: product id -> units
-- ARGV[1]  the last event that the rebuilt scores contain
-- ARGV[2..] when each day's key may go (seconds since the epoch), in the order of the days
--
-- RETURNS  an array of integers, the code first:
--   1 SWAPPED          days that have sales
--
-- COST     O(D) for D days; the old scores are freed in the background
-- KEEPS    invariant 7: no reader sees scores without their mark

-- tonumber() alone takes 'nan', ' 5' and '1.5', which Redis refuses later, in the middle of the writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

assert(is_integer(ARGV[1]), 'event id')
assert(#KEYS % 2 == 1 and #ARGV == (#KEYS + 1) / 2, 'one expiry for each day')
for index = 2, #ARGV do
  assert(is_integer(ARGV[index]), 'expiry')
end
local products = {}
for index = 2, #KEYS, 2 do
  products[index] = redis.call('ZCARD', KEYS[index + 1])
end

local days = 0
for index = 2, #KEYS, 2 do
  redis.call('UNLINK', KEYS[index])
  if products[index] > 0 then
    redis.call('RENAME', KEYS[index + 1], KEYS[index])
    redis.call('EXPIREAT', KEYS[index], ARGV[index / 2 + 1])
    days = days + 1
  end
end
redis.call('SET', KEYS[1], ARGV[1])
return { 1, days }
