-- Whether one more attempt may begin that may fail. KEYS: the window, the attempts under way.
-- ARGV: most failures; the window's microseconds; the name of the lease; its microseconds.
-- Gives 0 when it may, -1 when those under way must end first, or how many microseconds to wait.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local failed = tonumber(redis.call('HGET', KEYS[1], 'failed') or 0)
local ends = tonumber(redis.call('HGET', KEYS[1], 'ends') or 0)
if ends <= now or ends > now + window then failed = 0 end
if failed >= most then return ends - now end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if failed + redis.call('ZCARD', KEYS[2]) >= most then return -1 end
local lasts = tonumber(ARGV[4])
redis.call('ZADD', KEYS[2], now + lasts, ARGV[3])
redis.call('PEXPIRE', KEYS[2], math.ceil(lasts / 1000))
return 0
