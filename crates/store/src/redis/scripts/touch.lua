-- KEYS: session. ARGV: now, idle_expires.
local now = tonumber(ARGV[1])
local found = redis.call('HMGET', KEYS[1], 'sealed', 'idle', 'expires')
if not found[1] or tonumber(found[2]) <= now then return 0 end
local idle = math.min(tonumber(ARGV[2]), tonumber(found[3]))
if idle > tonumber(found[2]) then
  redis.call('HSET', KEYS[1], 'idle', string.format('%d', idle))
  redis.call('EXPIRE', KEYS[1], math.max(idle - now, 0) + 60)
end
return 1
