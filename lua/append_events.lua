-- append_events: appends events to the stream, and notes up to which event it goes.
--
-- KEYS[1]  events:{orders}       stream: the events, as consumers read them
-- KEYS[2]  events:{orders}:last  string: the id of the last event appended
-- ARGV[1]  what KEYS[2] has to hold; empty where it must not exist
-- ARGV[2]  how many entries the stream keeps, roughly: Redis trims whole nodes
-- ARGV[3..] event id, type, order id, payload, event id, type, ...: in the order of the ids
--
-- RETURNS  an array of integers, the code first:
--   1 APPENDED         events
--   2 OTHER_LAST       the stream ends with another event: it lost some, or somebody else appended; nothing changed
--
-- COST     O(N) for N events
-- KEEPS    the stream holds every event up to KEYS[2] that it was given: both are written together, so a Redis that forgets its latest
--          writes forgets them together, and the next call shows it

-- tonumber() alone takes 'nan', ' 5' and '1.5', which Redis refuses later, in the middle of the writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

redis.call('XLEN', KEYS[1])
local last = redis.call('GET', KEYS[2]) or ''
assert(is_integer(ARGV[2]), 'length')
assert(#ARGV > 3 and (#ARGV - 2) % 4 == 0, 'event id, type, order id and payload of each event')
for index = 3, #ARGV, 4 do
  assert(is_integer(ARGV[index]), 'event id')
end
if last ~= ARGV[1] then
  return { 2 }
end

for index = 3, #ARGV, 4 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'eventId', ARGV[index], 'type', ARGV[index + 1],
    'orderId', ARGV[index + 2], 'payload', ARGV[index + 3])
end
redis.call('SET', KEYS[2], ARGV[#ARGV - 3])
return { 1, (#ARGV - 2) / 4 }
