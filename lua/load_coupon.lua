-- load_coupon: starts building a campaign's gate from the store. The gate stays paused until open_coupon.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  epoch of this build
-- ARGV[2]  quantity
-- ARGV[3]  opensAt (ms)
-- ARGV[4]  closesAt (ms), 0 for a campaign without an end
--
-- RETURNS  an array of integers, the code first:
--   1 LOADING
--   2 SUPERSEDED       epoch: a build of the same or a later epoch stands there
--
-- COST     O(1); the old claims are freed in the background
-- KEEPS    invariant 1: claims decided before this moment carry an older epoch, which the store refuses

local epoch = assert(tonumber(ARGV[1]), 'epoch')
assert(tonumber(ARGV[2]) and tonumber(ARGV[3]) and tonumber(ARGV[4]), 'quantity, opensAt, closesAt')
-- Whatever is not a hash was put there by somebody else and is replaced.
if redis.call('TYPE', KEYS[1]).ok == 'hash' then
  local standing = tonumber(redis.call('HGET', KEYS[1], 'epoch'))
  if standing and standing >= epoch then
    return { 2, standing }
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'state', 'paused', 'pausedAt', string.format('%.0f', now), 'epoch', ARGV[1],
  'quantity', ARGV[2], 'remaining', '0', 'sequence', '0', 'opensAt', ARGV[3], 'closesAt', ARGV[4])
return { 1 }
