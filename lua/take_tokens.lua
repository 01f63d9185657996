-- take_tokens: takes a token from the bucket of a request's address, then one from that of its user.
--
-- KEYS[1]  limit:{requests}:address:NETWORK  string: when the bucket is full, in microseconds of Redis' clock; absent while it is full
-- KEYS[2]  limit:{requests}:user:ID          string: the same
-- ARGV[1]  microseconds in which KEYS[1] gains a token; 0 leaves the bucket out
-- ARGV[2]  tokens of a full bucket KEYS[1]
-- ARGV[3]  microseconds in which KEYS[2] gains a token; 0 leaves the bucket out
-- ARGV[4]  tokens of a full bucket KEYS[2]
--
-- RETURNS  an array of integers, the code first, then in how many microseconds each bucket is full:
--   1 TAKEN            address, user
--   2 ADDRESS_REFUSED  address, user: the bucket of the address is empty, and neither has changed
--   3 USER_REFUSED     address, user: the bucket of the user is empty; the address has paid
--
-- COST     O(1); a refusal by the address writes nothing
-- KEEPS    no invariant: a lost bucket is a full one. Where Redis' clock was set back, a bucket is empty at most until it would have
--          become full again

local function is_integer(text, digits)
  return text and #text <= digits and string.find(text, '^%d+$')
end

for index = 1, 4 do
  assert(is_integer(ARGV[index], 12), 'microseconds and tokens')
end
local intervals = { tonumber(ARGV[1]), tonumber(ARGV[3]) }
local windows = { intervals[1] * tonumber(ARGV[2]), intervals[2] * tonumber(ARGV[4]) }
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- The value of another program counts as a full bucket.
local fulls = { now, now }
for index = 1, 2 do
  local value = intervals[index] > 0 and redis.call('GET', KEYS[index])
  if is_integer(value or nil, 16) then
    fulls[index] = math.min(math.max(tonumber(value), now), now + windows[index])
  end
end

local pays = {}
for index = 1, 2 do
  pays[index] = intervals[index] > 0 and fulls[index] + intervals[index] - now <= windows[index]
end
if intervals[1] > 0 and not pays[1] then
  return { 2, fulls[1] - now, fulls[2] - now }
end
for index = 1, 2 do
  if pays[index] then
    fulls[index] = fulls[index] + intervals[index]
    local milliseconds = string.format('%.0f', math.ceil((fulls[index] - now) / 1000))
    redis.call('SET', KEYS[index], string.format('%.0f', fulls[index]), 'PX', milliseconds)
  end
end
if intervals[2] > 0 and not pays[2] then
  return { 3, fulls[1] - now, fulls[2] - now }
end
return { 1, fulls[1] - now, fulls[2] - now }
