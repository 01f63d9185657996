-- append_events: appends events to the stream and stores the id of the last one.
--
-- KEYS[1]  events:{orders}       stream: the events, as consumers read them
-- KEYS[2]  events:{orders}:last  string: the id of the last event appended
-- ARGV[1]  the expected value of KEYS[2]; empty if the key must not exist
-- ARGV[2]  number of entries that the stream keeps (approximate: Redis trims whole nodes only)
-- ARGV[3..] event id, type, order id, payload, traceparent or nothing, event id, type, ...: in the order of their places
--
-- RETURNS  an array of integers, the code first:
--   1 APPENDED         events
--   2 OTHER_LAST       the stream ends with another event: Redis lost writes, or another client appended; nothing changed
--
-- COST     O(N) for N events
-- KEEPS    stream and KEYS[2] are written together: a Redis that loses its latest writes loses both, and the next call answers
--          OTHER_LAST

-- tonumber() also accepts 'nan', ' 5' and '1.5', which Redis would refuse later, after the first writes.
local function is_integer(text)
  return text and #text <= 15 and string.find(text, '^%-?%d+$')
end

redis.call('XLEN', KEYS[1])
local last = redis.call('GET', KEYS[2]) or ''
assert(is_integer(ARGV[2]), 'length')
assert(#ARGV > 3 and (#ARGV - 2) % 5 == 0, 'event id, type, order id, payload and traceparent of each event')
for index = 3, #ARGV, 5 do
  assert(is_integer(ARGV[index]), 'event id')
end
if last ~= ARGV[1] then
  return { 2 }
end

for index = 3, #ARGV, 5 do
  local entry = {
    'eventId', ARGV[index], 'type', ARGV[index + 1], 'orderId', ARGV[index + 2], 'payload', ARGV[index + 3],
  }
  if ARGV[index + 4] ~= '' then
    entry[9], entry[10] = 'traceparent', ARGV[index + 4]
  end
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(entry))
end
redis.call('SET', KEYS[2], ARGV[#ARGV - 4])
return { 1, (#ARGV - 2) / 5 }
