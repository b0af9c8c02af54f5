-- KEYS: lease. ARGV: fencing, seconds, seconds that the number is remembered afterwards.
local held = redis.call('HMGET', KEYS[1], 'fencing', 'holder')
if held[1] ~= ARGV[1] or held[2] == '' then return 0 end
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], 'expires', string.format('%d', now + tonumber(ARGV[2])))
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]) + tonumber(ARGV[3]))
return 1
