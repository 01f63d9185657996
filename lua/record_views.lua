-- record_views: adds product views to a business day.
--
-- KEYS[1]  ranking:{sales}:views:YYYY-MM-DD  sorted set: product id -> views that business day
-- KEYS[2]  ranking:{sales}:unchanged         string: exists while the last result of rank_products includes all views
-- ARGV[1]  when the day's key expires (Unix time in seconds)
-- ARGV[2..] product id, views, product id, views, ...
--
-- RETURNS  an array of integers, the code first:
--   1 RECORDED         products
--
-- COST     O(M log N) for M products
-- KEEPS    no invariant: views only break ties, and a call repeated after a lost reply counts them twice. Removing KEYS[2] has the
--          ranking computed again

-- tonumber() also accepts 'nan', ' 5' and '1.5', which Redis would refuse later, after the first writes.
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
