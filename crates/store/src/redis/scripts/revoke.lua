-- KEYS: list, ends, sequence. ARGV: expires, body.
-- Each number is the server's time in microseconds: where Redis lost its data, or the last of it in a fail-over, numbers go
-- on above those that replicas have seen, and no revocation stays unheard.
local time = redis.call('TIME')
local next = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = redis.call('GET', KEYS[3])
if last then next = math.max(next, tonumber(last) + 1) end
local number = string.format('%.0f', next)
redis.call('SET', KEYS[3], number)
redis.call('ZADD', KEYS[1], number, number .. ' ' .. ARGV[1] .. ' ' .. ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[1], number)
return number
