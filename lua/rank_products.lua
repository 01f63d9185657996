-- rank_products: returns the products that sold most in three business days, from a union that all callers share.
--
-- KEYS[1]  ranking:{sales}:top:3d  sorted set: product id -> units sold in the three days; if the days have more than 10 * ARGV[3]
--          members, only those products that may be among the best
-- KEYS[2]  ranking:{sales}:YYYY-MM-DD, today
-- KEYS[3]  ranking:{sales}:YYYY-MM-DD, yesterday
-- KEYS[4]  ranking:{sales}:YYYY-MM-DD, the day before
-- KEYS[5]  ranking:{sales}:views:YYYY-MM-DD, today
-- KEYS[6]  ranking:{sales}:views:YYYY-MM-DD, yesterday
-- KEYS[7]  ranking:{sales}:views:YYYY-MM-DD, the day before
-- KEYS[8]  ranking:{sales}:applied    string: the last event counted
-- KEYS[9]  ranking:{sales}:result     list: instant of the last union (ms), its request, its basis (the offset and the days' members), the
--          number of its members, then its result
-- KEYS[10] ranking:{sales}:unchanged  string: the instant of the last union; record_views and swap_sales remove it
-- ARGV[1]  number of products to return (at most 1,000)
-- ARGV[2]  seconds after which union and result expire if no call computes them again
-- ARGV[3]  number of each day's best products to read first, if the days have more than ten times as many members
-- ARGV[4]  ms: a younger result is returned again, whatever was counted since
--
-- RETURNS  an array of strings: the instant (ms) of the result, then product id, units, views, product id, units, views, ...
--   best first: more units, then more views, then the newer product (the greater id)
--   The instant is that of the call; it is that of the last union if that is younger than ARGV[4] and something was counted since
--
-- COST     O(1), without a write, if the last result is returned again. Otherwise O(D log D) for the D best products of the days; if
--          these do not decide the result, the same with ten times as many, and at most O(N log N) for all N products sold in the
--          three days. In addition O(T * ARGV[1]) for the T products that tie for the last place.
-- KEEPS    scores are plain units; ties are settled after the union and before cutting; the result is that of the union of all
--          products (the threshold algorithm of Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2001).
--          A result is returned again only for the same days and number of products. It counts as unchanged while the offset and the
--          numbers of members of each day and of the union are the same and KEYS[10] exists: record_sales changes the offset,
--          swap_sales and record_views remove KEYS[10]. A score that was changed by hand is seen after the next of these calls.

-- tonumber() also accepts 'nan', ' 5' and '1.5', which Redis would refuse later, after the first writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

local members, counts = 0, {}
for index = 2, 7 do
  local count = redis.call('ZCARD', KEYS[index])
  counts[index - 1] = count
  if index <= 4 then
    members = members + count
  end
end
assert(is_integer(ARGV[1]) and is_integer(ARGV[2]) and is_integer(ARGV[3]) and tonumber(ARGV[3]) > 0 and is_integer(ARGV[4])
  and tonumber(ARGV[1]) <= 1000, 'places, seconds, depth, age')
local places = tonumber(ARGV[1])
local chunk = 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local applied = redis.call('TYPE', KEYS[8]).ok == 'string' and redis.call('GET', KEYS[8]) or 'none'
local request = table.concat({ ARGV[1], table.concat(KEYS, ' ', 2, 7) }, ' ')
local basis = table.concat({ applied, table.concat(counts, ' ') }, ' ')

-- Whether nothing was counted since the union of that instant, with that number of members.
local function is_unchanged(made_at, size)
  local kind = redis.call('TYPE', KEYS[1]).ok
  return (kind == 'zset' or kind == 'none') and tostring(redis.call('ZCARD', KEYS[1])) == size
    and redis.call('TYPE', KEYS[10]).ok == 'string' and redis.call('GET', KEYS[10]) == made_at
end

-- A key of another type holds no result and is replaced below.
local result = {}
if redis.call('TYPE', KEYS[9]).ok == 'list' then
  result = redis.call('LRANGE', KEYS[9], 0, 3 + 3 * places)
end
local made_at = tonumber(result[1])
if made_at and result[2] == request then
  if result[3] == basis and is_unchanged(result[1], result[4]) then
    return { string.format('%.0f', now), unpack(result, 5) }
  end
  if made_at <= now and now - made_at < tonumber(ARGV[4]) then
    return { result[1], unpack(result, 5) }
  end
end

-- The scores that products have in three sorted sets, added up.
local function totals(ids, first_key)
  local sums = {}
  for key = first_key, first_key + 2 do
    for position, score in ipairs(redis.call('ZMSCORE', KEYS[key], unpack(ids))) do
      sums[position] = (sums[position] or 0) + (tonumber(score) or 0)
    end
  end
  return sums
end

-- Computes the union of only the `depth` best products of each day. True if no other product can have as many units as the last place:
-- a product that is among the best of no day has, on each day, at most the units of the last of them.
local function gather(depth)
  local ids, seen, bound = {}, {}, 0
  for day = 2, 4 do
    local best = redis.call('ZREVRANGE', KEYS[day], 0, depth - 1, 'WITHSCORES')
    for index = 1, #best, 2 do
      if not seen[best[index]] then
        seen[best[index]] = true
        ids[#ids + 1] = best[index]
      end
    end
    if #best == 2 * depth then
      bound = bound + math.max(0, tonumber(best[#best]))
    end
  end
  redis.call('DEL', KEYS[1])
  for first = 1, #ids, chunk do
    local some = { unpack(ids, first, math.min(first + chunk - 1, #ids)) }
    local scored = {}
    for position, units in ipairs(totals(some, 2)) do
      scored[2 * position - 1] = string.format('%.0f', units)
      scored[2 * position] = some[position]
    end
    redis.call('ZADD', KEYS[1], unpack(scored))
  end
  local last = redis.call('ZREVRANGE', KEYS[1], places - 1, places - 1, 'WITHSCORES')
  return bound == 0 or (last[2] and tonumber(last[2]) > bound)
end

local depth, is_enough = tonumber(ARGV[3]), false
while not is_enough and members > 10 * depth do
  is_enough = gather(depth)
  depth = 10 * depth
end
if not is_enough then
  redis.call('ZUNIONSTORE', KEYS[1], 3, KEYS[2], KEYS[3], KEYS[4])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])

-- All products that tie for the last place are candidates: Redis orders equal scores by member, not by views.
local last = redis.call('ZREVRANGE', KEYS[1], places - 1, places - 1, 'WITHSCORES')
local least = '(0'
if last[2] and tonumber(last[2]) > 0 then
  least = last[2]
end
local candidates = redis.call('ZCOUNT', KEYS[1], least, '+inf')

-- Ids are strings of digits without leading zeros: the longer one is greater; strings of one length compare like their numbers.
local function is_better(left, right)
  if left.units ~= right.units then
    return left.units > right.units
  end
  if left.views ~= right.views then
    return left.views > right.views
  end
  if #left.id ~= #right.id then
    return #left.id > #right.id
  end
  return left.id > right.id
end

-- All products are candidates if each sold one unit: they are read in chunks, and only the best are kept.
local best = {}
for first = 0, candidates - 1, chunk do
  local scored = redis.call('ZREVRANGE', KEYS[1], first, math.min(first + chunk, candidates) - 1, 'WITHSCORES')
  local ids = {}
  for index = 1, #scored, 2 do
    ids[#ids + 1] = scored[index]
  end
  local views = totals(ids, 5)
  for position, id in ipairs(ids) do
    local product = { id = id, units = tonumber(scored[2 * position]), views = views[position] }
    local place = math.min(#best, places) + 1
    while place > 1 and is_better(product, best[place - 1]) do
      best[place] = best[place - 1]
      place = place - 1
    end
    if place <= places then
      best[place] = product
      best[places + 1] = nil
    end
  end
end

local answer = {}
for _, product in ipairs(best) do
  answer[#answer + 1] = product.id
  answer[#answer + 1] = string.format('%.0f', product.units)
  answer[#answer + 1] = string.format('%.0f', product.views)
end
local instant = string.format('%.0f', now)
redis.call('UNLINK', KEYS[9])
redis.call('RPUSH', KEYS[9], instant, request, basis, redis.call('ZCARD', KEYS[1]), unpack(answer))
redis.call('EXPIRE', KEYS[9], ARGV[2])
redis.call('SET', KEYS[10], instant)
redis.call('EXPIRE', KEYS[10], ARGV[2])
return { instant, unpack(answer) }
