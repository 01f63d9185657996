-- swap_sales: replaces the day scores and the offset by those rebuilt from the store.
--
-- KEYS[1]  ranking:{sales}:applied     string: the last event counted
-- KEYS[2]  ranking:{sales}:products    hash: name of a day's key -> products that were counted into it
-- KEYS[3]  ranking:{sales}:unchanged   string: exists while the last result of rank_products includes all sales
-- KEYS[4]  ranking:{sales}:store       string: the store that Redis serves, as id:incarnation
-- KEYS[5..] ranking:{sales}:YYYY-MM-DD and its staged key, in turn: sorted sets: product id -> units
-- ARGV[1]  the last event that the rebuilt scores contain
-- ARGV[2]  store, as id:incarnation
-- ARGV[3..] for each day in turn: when its key expires (Unix time in seconds), and the number of products staged
--
-- RETURNS  an array of integers, the code first:
--   1 SWAPPED          days that have sales
--   2 INCOMPLETE       staged products are missing: Redis lost writes or was replaced by another one; nothing changed
--   3 OTHER_STORE      the scores belong to another store or incarnation; nothing changed
--
-- COST     O(D) for D days; the old scores are freed in the background
-- KEEPS    invariant 7: no reader sees scores without their offset. Removing KEYS[3] has the ranking computed again

-- tonumber() also accepts 'nan', ' 5' and '1.5', which Redis would refuse later, after the first writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

assert(is_integer(ARGV[1]), 'event id')
local store = redis.call('GET', KEYS[4])
assert(#KEYS >= 4 and #KEYS % 2 == 0 and #ARGV == #KEYS - 2, 'expiry and products for each day')
for index = 3, #ARGV do
  assert(is_integer(ARGV[index]), index % 2 == 1 and 'expiry' or 'products')
end
local products, is_complete = {}, true
for index = 5, #KEYS, 2 do
  products[index] = redis.call('ZCARD', KEYS[index + 1])
  is_complete = is_complete and products[index] == tonumber(ARGV[index - 1])
end
if store and store ~= ARGV[2] then
  return { 3 }
end
if not is_complete then
  return { 2 }
end

local days = 0
redis.call('UNLINK', KEYS[2], KEYS[3])
for index = 5, #KEYS, 2 do
  redis.call('UNLINK', KEYS[index])
  if products[index] > 0 then
    redis.call('RENAME', KEYS[index + 1], KEYS[index])
    redis.call('EXPIREAT', KEYS[index], ARGV[index - 2])
    redis.call('HSET', KEYS[2], KEYS[index], products[index])
    days = days + 1
  end
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[4], ARGV[2])
return { 1, days }
