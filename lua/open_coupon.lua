-- open_coupon: opens a gate that has been built from the store.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  epoch of this build
-- ARGV[2]  claims that the gate must hold
--
-- RETURNS  an array of integers, the code first:
--   1 OPENED           remaining
--   2 SUPERSEDED       epoch: the gate belongs to another build
--   3 NOT_LOADED       the gate has vanished since load_coupon
--   4 INCOMPLETE       claims in the gate: not as many as ARGV[2]
--
-- COST     O(log N)
-- KEEPS    invariant 3: remaining = quantity - claims, and the next sequence follows the highest one issued

local coupon = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'quantity', 'remaining')
local claims = redis.call('ZCARD', KEYS[2])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
if not coupon[2] then
  return { 3 }
end
if coupon[2] ~= ARGV[1] then
  return { 2, tonumber(coupon[2]) or 0 }
end
if coupon[1] == 'open' then
  return { 1, tonumber(coupon[4]) }
end
if claims ~= tonumber(ARGV[2]) then
  return { 4, claims }
end
local remaining = math.max(0, tonumber(coupon[3]) - claims)

redis.call('HSET', KEYS[1], 'state', 'open', 'sequence', last[2] or '0', 'remaining', string.format('%.0f', remaining))
return { 1, remaining }
