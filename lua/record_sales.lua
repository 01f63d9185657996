-- record_sales: adds the units of successive outbox events to the scores of their business day, exactly once.
--
-- KEYS[1]  ranking:{sales}:applied     string: the last event counted
-- KEYS[2]  ranking:{sales}:YYYY-MM-DD  sorted set: product id -> units sold that business day
-- KEYS[3]  ranking:{sales}:products    hash: name of a day's key -> products that were counted into it
-- KEYS[4]  ranking:{sales}:store       string: the store that Redis serves, as id:incarnation
-- ARGV[1]  id of the first event
-- ARGV[2]  id of the last event
-- ARGV[3]  when the day's key expires (Unix time in seconds)
-- ARGV[4]  store, as id:incarnation
-- ARGV[5..] product id, units, product id, units, ...: the sums over all the events (negative for refunds)
--
-- RETURNS  an array of integers, the code first:
--   1 APPLIED          id of the last event
--   2 NOT_NEXT         the last event counted: ARGV[1] is not the one after it; nothing changed
--   3 NO_OFFSET        KEYS[1] holds no event id: rebuild the scores from the store
--   4 DAY_CHANGED      the day holds another number of products than were counted, so it was deleted: rebuild the scores
--   5 OTHER_STORE      the scores belong to another store or incarnation; nothing changed
--
-- COST     O(M log N) for M products
-- KEEPS    invariant 7: scores and offset change together, and nothing is added to a day that lost its scores

-- tonumber() also accepts 'nan', ' 5' and '1.5', which Redis would refuse later, after the first writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

local applied = redis.call('GET', KEYS[1])
local products = redis.call('ZCARD', KEYS[2])
local store = redis.call('GET', KEYS[4])
local counted = tonumber(redis.call('HGET', KEYS[3], KEYS[2]) or '0')
assert(is_integer(ARGV[1]) and is_integer(ARGV[2]) and is_integer(ARGV[3]) and ARGV[4], 'event ids, expiry, store')
for index = 5, #ARGV, 2 do
  assert(is_integer(ARGV[index + 1]), 'units')
end
local first = tonumber(ARGV[1])
local last = tonumber(ARGV[2])
local expires_at = tonumber(ARGV[3])
assert(first <= last, 'event ids')
if store and store ~= ARGV[4] then
  return { 5 }
end
if not is_integer(applied) then
  return { 3 }
end
if tonumber(applied) + 1 ~= first then
  return { 2, tonumber(applied) }
end

-- Once the day's key has expired, its refunds change no ranking any more.
local is_kept = tonumber(redis.call('TIME')[1]) < expires_at
if is_kept and products ~= counted then
  return { 4 }
end
if is_kept then
  for index = 5, #ARGV, 2 do
    local units = redis.call('ZINCRBY', KEYS[2], ARGV[index + 1], ARGV[index])
    if tonumber(units) == 0 then
      redis.call('ZREM', KEYS[2], ARGV[index])
    end
  end
  redis.call('EXPIREAT', KEYS[2], ARGV[3])
  products = redis.call('ZCARD', KEYS[2])
  if products > 0 then
    redis.call('HSET', KEYS[3], KEYS[2], products)
  else
    redis.call('HDEL', KEYS[3], KEYS[2])
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return { 1, last }
