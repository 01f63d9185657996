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

-- tonumber() alone takes 'nan', 'inf' and '1.5', and a gate with such a field would be damaged.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

assert(is_integer(ARGV[1]) and is_integer(ARGV[2]) and is_integer(ARGV[3]) and is_integer(ARGV[4]), 'epoch, quantity, opensAt, closesAt')
local epoch = tonumber(ARGV[1])
-- Whatever is not a hash, or has no epoch that we wrote, was put there by somebody else and is replaced.
if redis.call('TYPE', KEYS[1]).ok == 'hash' then
  local standing = redis.call('HGET', KEYS[1], 'epoch')
  if is_integer(standing) and tonumber(standing) >= epoch then
    return { 2, tonumber(standing) }
  end
end

redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'state', 'paused', 'epoch', ARGV[1],
  'quantity', ARGV[2], 'remaining', '0', 'sequence', '0', 'opensAt', ARGV[3], 'closesAt', ARGV[4])
return { 1 }
