-- An attempt has ended. KEYS and the first ARGV are those of the attempt: the window's microseconds,
-- the name of the lease; then whether it failed.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window = tonumber(ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
if ARGV[3] ~= '1' then return 0 end
local ends = tonumber(redis.call('HGET', KEYS[1], 'ends') or 0)
if ends <= now or ends > now + window then
  ends = now + window
  redis.call('HSET', KEYS[1], 'failed', 0, 'ends', string.format('%.0f', ends))
end
redis.call('HINCRBY', KEYS[1], 'failed', 1)
redis.call('PEXPIRE', KEYS[1], math.ceil((ends - now) / 1000) + 1)
return 0
