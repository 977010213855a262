-- All or nothing: pay for every rate (GCRA) and take every place, or say which one refuses.
--
-- KEYS  the rates, then the places.
-- ARGV  how many rates; the name of the lease; its microseconds; then for each rate what one call
--       costs and what a whole burst costs, in microseconds; then for each place how many there are.
-- Gives 0 and what is left of each rate, or which key refuses and for how many microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local rates, lease, lasts = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local due, answer = {}, {0}
for i = 1, rates do
  local cost, whole = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  -- Never more in debt than a whole burst, however the clock was set meanwhile.
  local paid = tonumber(redis.call('GET', KEYS[i]) or now)
  paid = math.min(math.max(paid, now), now + whole) + cost
  if paid > now + whole then
    return {i, paid - now - whole}
  end
  due[i] = paid
  answer[i + 1] = now + whole - paid
end
for i = rates + 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[3 + rates + i]) then
    return {i, 0}
  end
end
for i = 1, rates do
  redis.call('SET', KEYS[i], string.format('%.0f', due[i]), 'PX', math.ceil((due[i] - now) / 1000) + 1)
end
for i = rates + 1, #KEYS do
  redis.call('ZADD', KEYS[i], now + lasts, lease)
  redis.call('PEXPIRE', KEYS[i], math.ceil(lasts / 1000))
end
return answer
