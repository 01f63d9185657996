-- rank_products: unions three business days and answers the products that sold most.
--
-- KEYS[1]  ranking:{sales}:top:3d  sorted set: product id -> units sold in the three days; where very many products were sold, of those
--          alone that may be among the best
-- KEYS[2]  ranking:{sales}:YYYY-MM-DD, today
-- KEYS[3]  ranking:{sales}:YYYY-MM-DD, yesterday
-- KEYS[4]  ranking:{sales}:YYYY-MM-DD, the day before
-- KEYS[5]  ranking:{sales}:views:YYYY-MM-DD, today
-- KEYS[6]  ranking:{sales}:views:YYYY-MM-DD, yesterday
-- KEYS[7]  ranking:{sales}:views:YYYY-MM-DD, the day before
-- ARGV[1]  how many products to answer
-- ARGV[2]  seconds after which the union may go when nobody makes it anew
-- ARGV[3]  how many of each day's best to look at first, where the days have more than ten times as many members
--
-- RETURNS  an array of strings: product id, units, views, product id, units, views, ...
--   best first: more units, then more views, then the newer product (the greater id)
--
-- COST     O(D log D) for the D products that are the best of some day, where these decide; otherwise ten times as many, and in the end
--          O(N log N) for all N products sold in the three days. O(T * places) for the T products that tie at the last place.
-- KEEPS    scores are plain units; ties are settled after the union and before cutting; the answer is that of the whole union (the
--          threshold algorithm of Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2001)

-- tonumber() alone takes 'nan', ' 5' and '1.5', which Redis refuses later, in the middle of the writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

local members = 0
for index = 2, 7 do
  local count = redis.call('ZCARD', KEYS[index])
  if index <= 4 then
    members = members + count
  end
end
assert(is_integer(ARGV[1]) and is_integer(ARGV[2]) and is_integer(ARGV[3]) and tonumber(ARGV[3]) > 0, 'places, seconds, depth')
local places = tonumber(ARGV[1])
local chunk = 1000

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

-- Makes the union of the best of each day alone. True when nobody else can have as many units as the last place: whoever is among the
-- best of no day has at most the last one's units on each.
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

-- Everybody who ties with the last place is a candidate: Redis' own order of ties is not ours.
local last = redis.call('ZREVRANGE', KEYS[1], places - 1, places - 1, 'WITHSCORES')
local least = '(0'
if last[2] and tonumber(last[2]) > 0 then
  least = last[2]
end
local candidates = redis.call('ZCOUNT', KEYS[1], least, '+inf')

-- Ids are strings of digits without leading zeros: the longer is the greater, then the alphabet decides.
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

-- Candidates may be all there are, where everything sold once: they are looked at piece by piece, and only the best are kept.
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
return answer
