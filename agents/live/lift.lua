-- End a stream's alert, since it was blocked and is released: what comes next may alert anew.
--
-- KEYS: state, as in window.lua. ARGV: episode.
-- Returns 1 where that alert was on, else 0.
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
local w = cmsgpack.unpack(kept)
if w.p ~= 'alerting' or w.e ~= tonumber(ARGV[1]) then return 0 end
w.p, w.below = 'clear', -1
redis.call('SET', KEYS[1], cmsgpack.pack(w), 'KEEPTTL')
return 1
