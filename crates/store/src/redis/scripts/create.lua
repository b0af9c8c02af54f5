-- KEYS: session. ARGV: now, sealed, subject, sid, created, idle_expires, expires, attempt.
-- Every time is in seconds since 1970 on the caller's clock.
local now = tonumber(ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  local found = redis.call('HMGET', KEYS[1], 'sealed', 'idle', 'version')
  if not found[1] or tonumber(found[2]) <= now then return 'GONE' end
  -- The answer to the first attempt was lost; what it stored is ours.
  if ARGV[8] ~= '0' and found[1] == ARGV[2] then return found[3] end
  return 'CONFLICT'
end
local idle = math.min(tonumber(ARGV[6]), tonumber(ARGV[7]))
redis.call('HSET', KEYS[1], 'version', '1', 'sealed', ARGV[2], 'created', ARGV[5],
  'idle', string.format('%d', idle), 'expires', ARGV[7])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'subject', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'sid', ARGV[4]) end
redis.call('EXPIRE', KEYS[1], math.max(idle - now, 0) + 60)
return '1'
