-- claim_coupon: decides one claim of a coupon, first come, first served.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  user id
--
-- RETURNS  an array of integers, the code first:
--   1 CLAIMED          sequence, now (ms), epoch
--   2 ALREADY_CLAIMED  sequence, now (ms), epoch
--   3 SOLD_OUT         epoch, quantity
--   4 NOT_OPEN         opensAt (ms), now (ms), epoch
--   5 CLOSED           epoch, closesAt (ms)
--   6 PAUSED
--   7 NOT_LOADED
--   8 DAMAGED          epoch, or 0: a field is missing or not a whole number, or the claims are gone
--
-- COST     O(log N) in the claims; a refusal writes nothing and keeps nothing
-- KEEPS    invariants 1 and 3: sequence and remaining move with the member they stand for, in one HSET and one ZADD;
--          a refusal names the epoch and the terms it rests on, so that nobody has to believe a gate that went back in time

local coupon = redis.call('HMGET', KEYS[1], 'state', 'remaining', 'sequence', 'opensAt', 'closesAt', 'epoch',
  'quantity')
local claimed = redis.call('ZSCORE', KEYS[2], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local state = coupon[1]
local remaining = tonumber(coupon[2])
local sequence = tonumber(coupon[3])
local opens_at = tonumber(coupon[4])
local closes_at = tonumber(coupon[5])
local epoch = tonumber(coupon[6])
local quantity = tonumber(coupon[7])
-- tonumber() takes 'nan', 'inf', '1.5' and '1e300' too; none of them is a whole number that a double holds exactly.
if epoch and (epoch % 1 ~= 0 or epoch > 2 ^ 53 or epoch < -2 ^ 53) then
  epoch = nil
end

if not state and not epoch then
  return { 7 }
end
if state == 'paused' then
  return { 6 }
end
if state ~= 'open' or not (remaining and sequence and opens_at and closes_at and epoch and quantity) then
  return { 8, epoch or 0 }
end
local sum = remaining + sequence + opens_at + closes_at + quantity
if sum % 1 ~= 0 or sum > 2 ^ 53 or sum < -2 ^ 53 then
  return { 8, epoch }
end
if now < opens_at then
  return { 4, opens_at, now, epoch }
end
if closes_at > 0 and now >= closes_at then
  return { 5, epoch, closes_at }
end
if claimed then
  return { 2, tonumber(claimed), now, epoch }
end
-- Places were given and nobody holds one: the claims are lost, and deciding without them would turn winners away.
if sequence > 0 and redis.call('EXISTS', KEYS[2]) == 0 then
  return { 8, epoch }
end
if remaining < 1 then
  return { 3, epoch, quantity }
end

sequence = sequence + 1
redis.call('HSET', KEYS[1], 'sequence', string.format('%.0f', sequence), 'remaining', string.format('%.0f', remaining - 1))
redis.call('ZADD', KEYS[2], string.format('%.0f', sequence), ARGV[1])
return { 1, sequence, now, epoch }
