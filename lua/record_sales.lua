-- record_sales: counts the units of one outbox event on its business day, exactly once.
--
-- KEYS[1]  ranking:{sales}:applied     string: the last event counted
-- KEYS[2]  ranking:{sales}:YYYY-MM-DD  sorted set: product id -> units sold that business day
-- ARGV[1]  event id
-- ARGV[2]  when the day's key may go (seconds since the epoch)
-- ARGV[3..] product id, units, product id, units, ... (units negative for a refund)
--
-- RETURNS  an array of integers, the code first:
--   1 APPLIED          event id
--   2 NOT_NEXT         the last event counted: the given one is a repetition or skips one; nothing changed
--   3 NO_MARK          nothing is known about what was counted: rebuild from the store
--
-- COST     O(M log N) for M products
-- KEEPS    invariant 7: the scores and the mark move together

-- tonumber() alone takes 'nan', ' 5' and '1.5', which Redis refuses later, in the middle of the writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

local applied = redis.call('GET', KEYS[1])
redis.call('ZCARD', KEYS[2])
assert(is_integer(ARGV[1]) and is_integer(ARGV[2]), 'event id, expiry')
for index = 3, #ARGV, 2 do
  assert(is_integer(ARGV[index + 1]), 'units')
end
local event = tonumber(ARGV[1])
local expires_at = tonumber(ARGV[2])
if not is_integer(applied) then
  return { 3 }
end
if tonumber(applied) + 1 ~= event then
  return { 2, tonumber(applied) }
end

-- A refund of a day that has left Redis changes no ranking any more.
if tonumber(redis.call('TIME')[1]) < expires_at then
  for index = 3, #ARGV, 2 do
    local units = redis.call('ZINCRBY', KEYS[2], ARGV[index + 1], ARGV[index])
    if tonumber(units) == 0 then
      redis.call('ZREM', KEYS[2], ARGV[index])
    end
  end
  redis.call('EXPIREAT', KEYS[2], ARGV[2])
end
redis.call('SET', KEYS[1], ARGV[1])
return { 1, event }
