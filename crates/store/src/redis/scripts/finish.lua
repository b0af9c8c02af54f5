-- Ends a session: what stays is a tombstone, so that its key cannot be used again.
-- KEYS: session. ARGV: now, seconds that the tombstone stays, field or '', what the field must hold.
-- Returns nothing where there was no such session, else its subject and sid, for the indexes.
local found = redis.call('HMGET', KEYS[1], 'sealed', 'idle', 'subject', 'sid')
if not found[1] or tonumber(found[2]) <= tonumber(ARGV[1]) then return false end
if ARGV[3] ~= '' and redis.call('HGET', KEYS[1], ARGV[3]) ~= ARGV[4] then return false end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'ended', '1')
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]))
return { found[3] or '', found[4] or '' }
