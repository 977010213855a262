-- Pay back what calls cost that are not to count. KEYS: the rates. ARGV: microseconds for each.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i = 1, #KEYS do
  local paid = tonumber(redis.call('GET', KEYS[i]) or now) - tonumber(ARGV[i])
  if paid > now then
    redis.call('SET', KEYS[i], string.format('%.0f', paid), 'KEEPTTL')
  else
    redis.call('DEL', KEYS[i])
  end
end
return 0
