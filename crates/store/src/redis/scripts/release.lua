-- KEYS: lease. ARGV: fencing. The entry stays: its number is still needed to know a latecomer.
local held = redis.call('HMGET', KEYS[1], 'fencing', 'expires')
local now = redis.call('TIME')[1]
if held[1] ~= ARGV[1] or tonumber(held[2]) <= tonumber(now) then return 0 end
redis.call('HSET', KEYS[1], 'expires', now, 'holder', '')
return 1
