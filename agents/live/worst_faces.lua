-- Keep a face among the worst of its stream: the highest logits stay.
--
-- KEYS: faces   hash: seq -> JSON {seq, pts_ms, logit, picture}
-- ARGV: seq, the face (JSON), how many stay, how long (ms)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local all, ranked = redis.call('HGETALL', KEYS[1]), {}
if #all <= 2 * tonumber(ARGV[3]) then return #all / 2 end
for place = 1, #all, 2 do ranked[#ranked + 1] = {cjson.decode(all[place + 1])[3], tonumber(all[place])} end
table.sort(ranked, function(a, b)
  if a[1] ~= b[1] then return a[1] > b[1] end
  return a[2] < b[2]
end)
for place = tonumber(ARGV[3]) + 1, #ranked do redis.call('HDEL', KEYS[1], string.format('%d', ranked[place][2])) end
return tonumber(ARGV[3])
