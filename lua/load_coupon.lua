-- load_coupon: begins to build a campaign's gate from the store. The gate stays paused until open_coupon opens it.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  epoch of this build
-- ARGV[2]  quantity
-- ARGV[3]  opensAt (ms)
-- ARGV[4]  closesAt (ms), 0 for a campaign without an end
-- ARGV[5]  store, as id:incarnation
--
-- RETURNS  an array of integers, the code first:
--   1 LOADING
--   2 SUPERSEDED       epoch: a gate of the same or a later epoch exists; nothing changed
--
-- COST     O(1); the old claims are freed in the background
-- KEEPS    invariant 1: claims decided before this call carry an older epoch, which the store refuses. A gate of another store or
--          incarnation is replaced only by one with a later epoch (a campaign's epochs start at the store's incarnation).
--          builtAt (ms) is the time of a build's last write: by it, another service tells a running build from an abandoned one

-- tonumber() also accepts 'nan', 'inf' and '1.5'; a gate with such a field would be damaged.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

assert(is_integer(ARGV[1]) and is_integer(ARGV[2]) and is_integer(ARGV[3]) and is_integer(ARGV[4]) and ARGV[5],
  'epoch, quantity, opensAt, closesAt, store')
local epoch = tonumber(ARGV[1])
-- A key that is not a hash, or whose epoch is not a whole number, was not written by these scripts and is replaced.
if redis.call('TYPE', KEYS[1]).ok == 'hash' then
  local existing = redis.call('HGET', KEYS[1], 'epoch')
  -- At most 14 digits, one less than ARGV[1] may have: so there is always a later epoch.
  if is_integer(existing) and #existing <= 14 and tonumber(existing) >= epoch then
    return { 2, tonumber(existing) }
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'state', 'paused', 'epoch', ARGV[1],
  'quantity', ARGV[2], 'remaining', '0', 'sequence', '0', 'opensAt', ARGV[3], 'closesAt', ARGV[4],
  'builtAt', string.format('%.0f', now), 'store', ARGV[5])
return { 1 }
