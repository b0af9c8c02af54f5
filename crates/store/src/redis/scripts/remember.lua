-- Notes a session in an index. KEYS: index. ARGV: now, session, when it ends.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
local left = math.max(tonumber(ARGV[3]) - tonumber(ARGV[1]), 0) + 60
if redis.call('TTL', KEYS[1]) < left then redis.call('EXPIRE', KEYS[1], left) end
return 1
