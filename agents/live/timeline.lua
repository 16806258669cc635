-- The latest frames of a stream's window, in order of time.
--
-- KEYS: frames, times, as in window.lua. ARGV: how many at most.
-- Returns JSON: {{seq, captured_ms, highest probability in millionths; below 0 where no face was judged}, ...}
local found = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], -tonumber(ARGV[1]), -1)) do
  local seq = tonumber(name)
  local kept = redis.call('HGET', KEYS[1], seq)
  if kept then
    local record = cmsgpack.unpack(kept)
    found[#found + 1] = {seq, record[1], record[2]}
  end
end
return cjson.encode(found)
