-- KEYS: session, its lease. ARGV: now, version, fencing or '', sealed, subject, sid, idle_expires, expires, attempt.
local now = tonumber(ARGV[1])
local found = redis.call('HMGET', KEYS[1], 'sealed', 'idle', 'version', 'expires')
if not found[1] or tonumber(found[2]) <= now then return 'GONE' end
local next = string.format('%d', tonumber(found[3]) + 1)
if ARGV[9] ~= '0' and found[1] == ARGV[4] then return found[3] end
if ARGV[3] ~= '' and redis.call('HGET', KEYS[2], 'fencing') ~= ARGV[3] then return 'LEASE_LOST' end
if found[3] ~= ARGV[2] then return 'CONFLICT' end
-- Idle time and end move one way only, whatever the caller had read.
local expires = math.min(tonumber(found[4]), tonumber(ARGV[8]))
local idle = math.min(math.max(tonumber(found[2]), tonumber(ARGV[7])), expires)
redis.call('HSET', KEYS[1], 'version', next, 'sealed', ARGV[4],
  'idle', string.format('%d', idle), 'expires', string.format('%d', expires))
for number, name in ipairs({ 'subject', 'sid' }) do
  local value = ARGV[4 + number]
  if value ~= '' then redis.call('HSET', KEYS[1], name, value) else redis.call('HDEL', KEYS[1], name) end
end
redis.call('EXPIRE', KEYS[1], math.max(idle - now, 0) + 60)
return next
