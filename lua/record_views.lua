-- record_views: adds product views to a business day.
--
-- KEYS[1]  ranking:{sales}:views:YYYY-MM-DD  sorted set: product id -> views that business day
-- ARGV[1]  when the day's key may go (seconds since the epoch)
-- ARGV[2..] product id, views, product id, views, ...
--
-- RETURNS  an array of integers, the code first:
--   1 RECORDED         products
--
-- COST     O(M log N) for M products
-- KEEPS    no invariant: views break ties only, and a repetition after a lost reply may count some twice

redis.call('ZCARD', KEYS[1])
assert(tonumber(ARGV[1]), 'expiry')
for index = 2, #ARGV, 2 do
  assert(tonumber(ARGV[index + 1]), 'views')
end

for index = 2, #ARGV, 2 do
  redis.call('ZINCRBY', KEYS[1], ARGV[index + 1], ARGV[index])
end
redis.call('EXPIREAT', KEYS[1], ARGV[1])
return { 1, (#ARGV - 1) / 2 }
