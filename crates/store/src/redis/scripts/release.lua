-- KEYS: lease. ARGV: now, fencing. The entry stays: its number is still needed to know a latecomer.
local held = redis.call('HMGET', KEYS[1], 'fencing', 'expires')
if held[1] ~= ARGV[2] or tonumber(held[2]) <= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'expires', ARGV[1], 'holder', '')
return 1
