-- Who may not publish under one name, in one atomic step.
--
-- KEYS: lease   hash: deny (JSON), alert, episode, until (ms); released: the last episode that was let go; hold: until
--               when nobody is to be denied (ms)
-- ARGV: what is done, then:
--   deny  deny (JSON), alert, episode, until, now, ttl (ms)   returns the deny in force, or nothing where it was refused
--   lift  episode, hold (ms since 1970, 0 none), ttl (ms)     returns the deny that was in force, or nothing
--
-- An episode that was released, or is older than the one in force, does not deny again: its alert is read again. The
-- alert that denies already changes nothing.
local LEASE, what = KEYS[1], ARGV[1]
local alert, episode, released, hold =
  unpack(redis.call('HMGET', LEASE, 'alert', 'episode', 'released', 'hold'))
if what == 'deny' then
  local wanted = tonumber(ARGV[4])
  if alert == ARGV[3] then return redis.call('HGET', LEASE, 'deny') end
  if released and wanted <= tonumber(released) then return false end
  if hold and tonumber(ARGV[6]) < tonumber(hold) then return false end
  if episode and wanted < tonumber(episode) then return false end
  redis.call('HSET', LEASE, 'deny', ARGV[2], 'alert', ARGV[3], 'episode', ARGV[4], 'until', ARGV[5])
  redis.call('PEXPIRE', LEASE, ARGV[7])
  return ARGV[2]
end
local wanted = tonumber(ARGV[2])
local was = redis.call('HGET', LEASE, 'deny')
if not was or tonumber(episode) > wanted then was = false end
if was then redis.call('HDEL', LEASE, 'deny', 'alert', 'episode', 'until') end
if not released or tonumber(released) < wanted then redis.call('HSET', LEASE, 'released', ARGV[2]) end
if tonumber(ARGV[3]) > 0 then redis.call('HSET', LEASE, 'hold', ARGV[3]) end
redis.call('PEXPIRE', LEASE, ARGV[4])
return was
