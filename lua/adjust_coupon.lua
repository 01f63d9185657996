-- adjust_coupon: gives an open gate another quantity or window.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  quantity
-- ARGV[2]  opensAt (ms)
-- ARGV[3]  closesAt (ms), 0 for a campaign without an end
-- ARGV[4]  store, as id:incarnation
--
-- RETURNS  an array of integers, the code first:
--   1 ADJUSTED         remaining
--   2 BELOW_ISSUED     claims: more than the new quantity have been granted; nothing changed
--   3 NOT_LOADED       there is no gate
--   4 PAUSED           the gate is being built; nothing changed
--   5 OTHER_STORE      the gate belongs to another store or incarnation; nothing changed
--
-- COST     O(1)
-- KEEPS    invariants 1 and 3: remaining = quantity - claims; no claim is decided while this script runs

-- tonumber() also accepts 'nan', 'inf' and '1.5'; a gate with such a field would be damaged.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

local coupon = redis.call('HMGET', KEYS[1], 'state', 'store')
local claims = redis.call('ZCARD', KEYS[2])
assert(is_integer(ARGV[1]) and is_integer(ARGV[2]) and is_integer(ARGV[3]) and ARGV[4], 'quantity, opensAt, closesAt, store')
local state, store = coupon[1], coupon[2]
local quantity = tonumber(ARGV[1])
if not state then
  return { 3 }
end
if store and store ~= ARGV[4] then
  return { 5 }
end
if state ~= 'open' then
  return { 4 }
end
if quantity < claims then
  return { 2, claims }
end

redis.call('HSET', KEYS[1], 'quantity', ARGV[1], 'remaining', string.format('%.0f', quantity - claims),
  'opensAt', ARGV[2], 'closesAt', ARGV[3])
return { 1, quantity - claims }
