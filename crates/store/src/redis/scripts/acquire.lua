-- KEYS: lease. ARGV: holder, seconds, seconds that the number is remembered afterwards, attempt.
-- The server's time: replicas whose clocks differ agree on who has the lease.
local time = redis.call('TIME')
local now = tonumber(time[1])
local held = redis.call('HMGET', KEYS[1], 'fencing', 'expires', 'holder')
if held[1] and tonumber(held[2]) > now then
  -- The answer to the first attempt was lost; the lease is ours.
  if ARGV[4] ~= '0' and held[3] == ARGV[1] then return { held[1], 0 } end
  return false
end
-- Microseconds are greater than every number before, also where Redis lost all that it knew.
local fencing = now * 1000000 + tonumber(time[2])
if held[1] then fencing = math.max(fencing, tonumber(held[1]) + 1) end
local text = string.format('%.0f', fencing)
redis.call('HSET', KEYS[1], 'fencing', text, 'expires', string.format('%d', now + tonumber(ARGV[2])), 'holder', ARGV[1])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]) + tonumber(ARGV[3]))
-- One that was not given back: its holder may still be at work.
local lapsed = held[1] and held[3] ~= '' and 1 or 0
return { text, lapsed }
