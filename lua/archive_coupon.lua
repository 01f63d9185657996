-- archive_coupon: removes the gate of a campaign that the store has archived.
--
-- KEYS[1]  coupon:{ID}         hash: the campaign's gate
-- KEYS[2]  coupon:{ID}:claims  sorted set: user id -> sequence
-- ARGV[1]  epoch of the campaign in the store
--
-- RETURNS  an array of integers, the code first:
--   1 REMOVED          keys removed, 0 to 2
--   2 SUPERSEDED       epoch: the gate has a later epoch; nothing changed
--
-- COST     O(1); the claims are freed in the background
-- KEEPS    invariant 3: a gate that was built after a PATCH brought the campaign back is not removed

-- tonumber() also accepts 'nan', 'inf' and '1.5'.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

assert(is_integer(ARGV[1]), 'epoch')
if redis.call('TYPE', KEYS[1]).ok == 'hash' then
  local epoch = redis.call('HGET', KEYS[1], 'epoch')
  -- A longer epoch was not written by these scripts, see load_coupon.
  if is_integer(epoch) and #epoch <= 14 and tonumber(epoch) > tonumber(ARGV[1]) then
    return { 2, tonumber(epoch) }
  end
end

return { 1, redis.call('UNLINK', KEYS[1], KEYS[2]) }
