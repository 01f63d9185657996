-- record_views: adds product views to a business day.
--
-- KEYS[1]  ranking:{sales}:views:YYYY-MM-DD  sorted set: product id -> views that business day
-- KEYS[2]  ranking:{sales}:unchanged         string: there while the last result of rank_products is that of all views
-- ARGV[1]  when the day's key may go (seconds since the epoch)
-- ARGV[2..] product id, views, product id, views, ...
--
-- RETURNS  an array of integers, the code first:
--   1 RECORDED         products
--
-- COST     O(M log N) for M products
-- KEEPS    no invariant: views break ties only, and a repetition after a lost reply may count some twice. The ranking is made anew

-- tonumber() alone takes 'nan', ' 5' and '1.5', which Redis refuses later, in the middle of the writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

redis.call('ZCARD', KEYS[1])
assert(is_integer(ARGV[1]), 'expiry')
for index = 2, #ARGV, 2 do
  assert(is_integer(ARGV[index + 1]), 'views')
end

for index = 2, #ARGV, 2 do
  redis.call('ZINCRBY', KEYS[1], ARGV[index + 1], ARGV[index])
end
redis.call('EXPIREAT', KEYS[1], ARGV[1])
redis.call('UNLINK', KEYS[2])
return { 1, (#ARGV - 1) / 2 }
