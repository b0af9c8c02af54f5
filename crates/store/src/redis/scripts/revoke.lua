-- KEYS: list, ends, sequence. ARGV: expires, body.
-- The first number is the server's time in microseconds: where Redis lost its data, numbers go on above those that
-- replicas have seen, and no revocation stays unheard.
if redis.call('EXISTS', KEYS[3]) == 0 then
  local time = redis.call('TIME')
  redis.call('SET', KEYS[3], string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2])))
end
redis.call('INCR', KEYS[3])
local number = redis.call('GET', KEYS[3])
redis.call('ZADD', KEYS[1], number, number .. ' ' .. ARGV[1] .. ' ' .. ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[1], number)
return number
