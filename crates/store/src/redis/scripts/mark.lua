-- KEYS: mark. ARGV: now, until, who asks, attempt.
local found = redis.call('HMGET', KEYS[1], 'until', 'by')
if found[1] and tonumber(found[1]) > tonumber(ARGV[1]) then
  if ARGV[4] ~= '0' and found[2] == ARGV[3] then return 1 end
  return 0
end
redis.call('HSET', KEYS[1], 'until', ARGV[2], 'by', ARGV[3])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]) - tonumber(ARGV[1]) + 60)
return 1
