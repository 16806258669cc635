-- The worst faces of a stream's window, as pictures: the highest logits stay.
--
-- KEYS: faces   hash: seq -> logit and picture, MessagePack
-- ARGV: seq, logit, picture (JSON of agents.live.worst_faces.WorstFace), how many stay, ttl (ms)
redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({tonumber(ARGV[2]), ARGV[3]}))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local all = redis.call('HGETALL', KEYS[1])
local ranked = {}
for place = 1, #all, 2 do ranked[#ranked + 1] = {cmsgpack.unpack(all[place + 1])[1], tonumber(all[place])} end
table.sort(ranked, function(a, b)
  if a[1] ~= b[1] then return a[1] > b[1] end
  return a[2] < b[2]
end)
for place = tonumber(ARGV[4]) + 1, #ranked do redis.call('HDEL', KEYS[1], ranked[place][2]) end
return #ranked
