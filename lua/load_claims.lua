-- load_claims: adds some of the store's issued coupons to a gate that is being built.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  epoch of this build
-- ARGV[2..] sequence, user id, sequence, user id, ... (1 to 3,500 pairs: Lua's stack bounds a call's arguments)
--
-- RETURNS  an array of integers, the code first:
--   1 LOADED           claims in the gate now
--   2 SUPERSEDED       epoch: the gate belongs to another build, or is open
--   3 NOT_LOADED       the gate has vanished since load_coupon
--
-- COST     O(M log N) for M pairs
-- KEEPS    invariant 3: only the build that paused the gate fills it; builtAt (ms) is the time of its last write

-- tonumber() also accepts 'nan', ' 5' and '1.5', which Redis would refuse later, after the first writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

local coupon = redis.call('HMGET', KEYS[1], 'state', 'epoch')
redis.call('ZCARD', KEYS[2])
assert(#ARGV % 2 == 1 and #ARGV >= 3 and #ARGV <= 7001, '1 to 3,500 pairs')
for index = 2, #ARGV, 2 do
  assert(is_integer(ARGV[index]), 'sequence')
end
if not coupon[2] then
  return { 3 }
end
if coupon[2] ~= ARGV[1] or coupon[1] ~= 'paused' then
  return { 2, tonumber(coupon[2]) or 0 }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('HSET', KEYS[1], 'builtAt', string.format('%.0f', now))
redis.call('ZADD', KEYS[2], unpack(ARGV, 2))
return { 1, redis.call('ZCARD', KEYS[2]) }
