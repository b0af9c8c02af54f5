-- Removes revocations whose time is over. KEYS: list, ends. ARGV: now, how many at most.
local numbers = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, number in ipairs(numbers) do
  redis.call('ZREMRANGEBYSCORE', KEYS[1], number, number)
  redis.call('ZREM', KEYS[2], number)
end
return #numbers
