-- rank_products: unions three business days and answers the products that sold most.
--
-- KEYS[1]  ranking:{sales}:top:3d  sorted set: product id -> units sold in the three days
-- KEYS[2]  ranking:{sales}:YYYY-MM-DD, today
-- KEYS[3]  ranking:{sales}:YYYY-MM-DD, yesterday
-- KEYS[4]  ranking:{sales}:YYYY-MM-DD, the day before
-- KEYS[5]  ranking:{sales}:views:YYYY-MM-DD, today
-- KEYS[6]  ranking:{sales}:views:YYYY-MM-DD, yesterday
-- KEYS[7]  ranking:{sales}:views:YYYY-MM-DD, the day before
-- ARGV[1]  how many products to answer
-- ARGV[2]  seconds after which the union may go when nobody makes it anew
--
-- RETURNS  an array of strings: product id, units, views, product id, units, views, ...
--   best first: more units, then more views, then the newer product (the greater id)
--
-- COST     O(N log N) for N products sold in the three days, and O(T * places) for the T products that tie at the last place
-- KEEPS    scores are plain units; ties are settled after the union and before cutting

-- tonumber() alone takes 'nan', ' 5' and '1.5', which Redis refuses later, in the middle of the writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

for index = 2, 7 do
  redis.call('ZCARD', KEYS[index])
end
assert(is_integer(ARGV[1]) and is_integer(ARGV[2]), 'places, seconds')
local places = tonumber(ARGV[1])

redis.call('ZUNIONSTORE', KEYS[1], 3, KEYS[2], KEYS[3], KEYS[4])
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
local chunk = 1000
for first = 0, candidates - 1, chunk do
  local scored = redis.call('ZREVRANGE', KEYS[1], first, math.min(first + chunk, candidates) - 1, 'WITHSCORES')
  local ids = {}
  for index = 1, #scored, 2 do
    ids[#ids + 1] = scored[index]
  end
  local views = {}
  for day = 5, 7 do
    for position, score in ipairs(redis.call('ZMSCORE', KEYS[day], unpack(ids))) do
      views[position] = (views[position] or 0) + (tonumber(score) or 0)
    end
  end
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
