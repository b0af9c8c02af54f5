-- KEYS: lease. ARGV: fencing, the new end, seconds until Redis may forget it.
local held = redis.call('HMGET', KEYS[1], 'fencing', 'holder')
if held[1] ~= ARGV[1] or held[2] == '' then return 0 end
redis.call('HSET', KEYS[1], 'expires', ARGV[2])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[3]))
return 1
