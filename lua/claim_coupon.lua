-- claim_coupon: decides claims of one coupon campaign in the order of their arrival.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  store, as id:incarnation
-- ARGV[2]  user id of the first claim; or the word `early`, for the grants of an admin: they succeed before the window opens too, and the
--          user ids begin at ARGV[3]
-- ARGV[3..] user ids of the claims after it, in the order of arrival (at most 256 in all); an id that is given twice claims twice
--
-- RETURNS  an array of four integers for each user id, in the order of the ids: code, number, now (ms), epoch. By code, the number is:
--   1 CLAIMED          sequence
--   2 ALREADY_CLAIMED  sequence; before, within and after the window
--   3 SOLD_OUT         quantity
--   4 NOT_OPEN         opensAt (ms); never with `early`
--   5 CLOSED           closesAt (ms)
--   6 PAUSED           ms since load_coupon or load_claims last wrote to the gate
--   7 NOT_LOADED       0
--   8 DAMAGED          0: a field or the user's own sequence is missing or not a whole number, or the claims are gone. The epoch is 0
--                      where it is damaged too
--   9 OTHER_STORE      0: the gate belongs to another store or incarnation
--
-- COST     O(M log N) for M user ids and N claims; a call without a win writes nothing
-- KEEPS    invariants 1 and 3: sequence and remaining change together with the claims they count, by one HSET and one ZADD;
--          a refusal carries the gate's epoch and the term it was decided by, so that the caller can compare them with the store's:
--          a Redis that was restored from an older snapshot may hold others

local coupon = redis.call('HMGET', KEYS[1], 'state', 'remaining', 'sequence', 'opensAt', 'closesAt', 'epoch',
  'quantity', 'builtAt', 'store')
local is_early = ARGV[2] == 'early'
-- The user ids follow this argument.
local last_before = is_early and 2 or 1
local count = #ARGV - last_before
assert(count >= 1 and count <= 256, 'store, 1 to 256 user ids')
local places = redis.call('ZMSCORE', KEYS[2], unpack(ARGV, last_before + 1))
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

local verdicts = {}
local function decide(index, code, number)
  verdicts[4 * index - 3] = code
  verdicts[4 * index - 2] = number
  verdicts[4 * index - 1] = now
  verdicts[4 * index] = epoch or 0
end
local function decide_all(code, number)
  for index = 1, count do
    decide(index, code, number)
  end
  return verdicts
end

if not state and not epoch then
  return decide_all(7, 0)
end
-- A gate written by an earlier version has no field `store` and is accepted.
if coupon[9] and coupon[9] ~= ARGV[1] then
  return decide_all(9, 0)
end
if state == 'paused' then
  local built_at = tonumber(coupon[8])
  if not built_at or built_at % 1 ~= 0 or built_at < 0 or built_at > now then
    built_at = 0
  end
  return decide_all(6, now - built_at)
end
if state ~= 'open' or not (remaining and sequence and opens_at and closes_at and epoch and quantity) then
  return decide_all(8, 0)
end
-- Lua's % is never negative here, so the sum is 0 only if each number is whole; a nan makes it differ from 0.
local fractions = remaining % 1 + sequence % 1 + opens_at % 1 + closes_at % 1 + quantity % 1
local greatest = math.max(remaining, sequence, opens_at, closes_at, quantity)
local least = math.min(remaining, sequence, opens_at, closes_at, quantity)
-- Only damage makes a sequence longer than 14 digits. load_claims accepts 15, so it can load every sequence that this script grants.
if fractions ~= 0 or greatest > 2 ^ 53 or least < -2 ^ 53 or sequence >= 1e14 then
  return decide_all(8, 0)
end

local anyone_holds = false
for index = 1, count do
  anyone_holds = anyone_holds or places[index]
end
-- Sequences were granted, but KEYS[2] is gone: deciding without it would give users who have a coupon another one or a refusal.
if sequence > 0 and not anyone_holds and redis.call('EXISTS', KEYS[2]) == 0 then
  return decide_all(8, 0)
end

local granted, members = {}, {}
for index = 1, count do
  local user = ARGV[last_before + index]
  local place = tonumber(places[index] or granted[user])
  if place and (place % 1 ~= 0 or place > 2 ^ 53 or place < 1) then
    decide(index, 8, 0)
  elseif place then
    decide(index, 2, place)
  elseif now < opens_at and not is_early then
    decide(index, 4, opens_at)
  elseif closes_at > 0 and now >= closes_at then
    decide(index, 5, closes_at)
  elseif remaining < 1 then
    decide(index, 3, quantity)
  else
    sequence = sequence + 1
    remaining = remaining - 1
    granted[user] = sequence
    members[#members + 1] = string.format('%.0f', sequence)
    members[#members + 1] = user
    decide(index, 1, sequence)
  end
end

if #members > 0 then
  redis.call('HSET', KEYS[1], 'sequence', string.format('%.0f', sequence), 'remaining', string.format('%.0f', remaining))
  redis.call('ZADD', KEYS[2], unpack(members))
end
return verdicts
