-- admit_store: decides whether a store may use this Redis, and writes the store's name into a Redis that serves none.
--
-- KEYS[1]  ranking:{sales}:store    string: the store that Redis serves, as id:incarnation
-- KEYS[2]  ranking:{sales}:applied  string: the last event counted
-- ARGV[1]  the store that asks, as id:incarnation
-- ARGV[2]  1 if scores without a store's name, as earlier versions left them, belong to this store; otherwise 0
-- ARGV[3]  1 to write the name into a Redis that serves no store yet, 0 to leave such a Redis unchanged
--
-- RETURNS  an array, the code first:
--   1 ADMITTED
--   2 OTHER_STORE      the store that Redis serves
--   3 UNKNOWN_STORE    the last event counted: the scores belong to a store that wrote no name
--
-- COST     O(1); writes only where Redis holds no store's name yet
-- KEEPS    invariants 3 and 7: gates and scores of one store are not used by another one, nor by another incarnation of it

local store = redis.call('GET', KEYS[1])
local applied = redis.call('TYPE', KEYS[2]).ok == 'string' and redis.call('GET', KEYS[2]) or '0'
assert((ARGV[2] == '0' or ARGV[2] == '1') and (ARGV[3] == '0' or ARGV[3] == '1'), 'whose events, writes')
if store == ARGV[1] then
  return { 1 }
end
if store then
  return { 2, store }
end
if ARGV[2] == '0' and applied ~= '0' then
  return { 3, applied }
end
if ARGV[3] == '1' then
  redis.call('SET', KEYS[1], ARGV[1])
end
return { 1 }
