-- The rolling window of one stream, and its alert: frames in, aggregates and transitions out, in one atomic step.
--
-- KEYS: state   one MessagePack value: the alert, and of each track its logits, sorted
--       frames  hash: seq -> {t, highest, track, logit, track, logit, ...}, MessagePack
--       times   sorted set: seq by t
--       They share a hash tag, so that Redis Cluster has them in one place.
-- ARGV: rules (JSON), frames (JSON, in the order in which they came).
--   rules:  buffer_ms, max_frames, enter, exit, hold_ms, cooldown_ms, min_faces, top_share, bands (ascending), ttl_ms,
--           same_face (intersection over union), gap_ms, verdict_ms
--   frame:  {s = seq, t = captured_ms, c = whether a scene begins, u = whether it could not be read,
--            f = {{logit, x0, y0, x1, y1}, ...}}
-- Returns a JSON object, see `agents.live.stream_window.Outcome`.
--
-- A frame is known by its seq: read again, it changes nothing, and gives again the transitions that it led to; another
-- one of the same number is left out. Each frame is added, old ones are let go and the alert is looked at one after the
-- other, so that it does not matter how frames were gathered into calls. Time is the frames' own.
--
-- An alert is named by the second in which it was raised: numbers rise, also when Redis has lost what it knew.

local STATE, FRAMES, TIMES = KEYS[1], KEYS[2], KEYS[3]
local rules, batch = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local kept = redis.call('GET', STATE)
local w
if kept then
  w = cmsgpack.unpack(kept)
else
  -- l: by track its logits, highest first; b: by track when and where it was last seen {t, x0, y0, x1, y1};
  -- n: tracks so far; first: first track of the scene; h: frames up to this time are gone; new: time of the newest;
  -- size, faces, unread: frames, faces, and frames that could not be read, in the window; judged, sum: frames with a
  -- face, and their highest probabilities in millionths; p: phase; since, below: times; e: the last episode; r: risk
  -- band that was alerted; v: stretch of time whose verdict is due next;
  -- m: transitions {seq, kind, episode, band, t, score} of frames that are still there
  w = {l = {}, b = {}, n = 0, first = 0, h = -1, new = -1, size = 0, faces = 0, unread = 0, judged = 0, sum = 0,
       p = 'clear', since = 0, below = -1, e = 0, r = 0, v = -1, m = {}}
end

-- Tracks by number: MessagePack tells an array from a map by its keys, so both are kept as lists of pairs.
local logits, last = {}, {}
for _, pair in ipairs(w.l) do logits[pair[1]] = pair[2] end
for _, pair in ipairs(w.b) do last[pair[1]] = pair[2] end

-- Where in a list, highest first, a value stands or would.
local function place(list, value)
  local low, high = 1, #list + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if list[middle] > value then low = middle + 1 else high = middle end
  end
  return low
end

local function sigmoid(logit)
  if logit >= 0 then return 1 / (1 + math.exp(-logit)) end
  local odds = math.exp(logit)
  return odds / (1 + odds)
end

-- Half the mean, half the mean of the highest share: `models.pooling.pool`.
local function pooled(list)
  local count, sum, top = #list, 0, 0
  local most = math.max(1, math.ceil(rules.top_share * count))
  for position = 1, count do
    sum = sum + list[position]
    if position == most then top = sum end
  end
  return 0.5 * (sum / count + top / most)
end

-- The worst track with enough evidence: its probability and number; nothing without one.
local function worst()
  local logit, number
  for name, list in pairs(logits) do
    if #list >= rules.min_faces then
      local value = pooled(list)
      if not logit or value > logit or (value == logit and name < number) then logit, number = value, name end
    end
  end
  if logit then return sigmoid(logit), number end
end

local function band(score)
  local found = 0
  for number, least in ipairs(rules.bands) do
    if score >= least then found = number end
  end
  return found
end

-- Of a box {t, x0, y0, x1, y1} and a face {logit, x0, y0, x1, y1}: intersection over union.
local function overlap(a, b)
  local width = math.min(a[4], b[4]) - math.max(a[2], b[2])
  local height = math.min(a[5], b[5]) - math.max(a[3], b[3])
  if width <= 0 or height <= 0 then return 0 end
  local both = width * height
  return both / ((a[4] - a[2]) * (a[5] - a[3]) + (b[4] - b[2]) * (b[5] - b[3]) - both)
end

-- Give each face the number of its track: that of the box it overlaps most among those last seen, or a new one.
local function link(frame)
  local choices, taken, given = {}, {}, {}
  if frame.c then w.first = w.n end
  for number, box in pairs(last) do
    if number >= w.first and math.abs(frame.t - box[1]) <= rules.gap_ms then
      for position, face in ipairs(frame.f) do
        local share = overlap(box, face)
        if share >= rules.same_face then choices[#choices + 1] = {share, number, position} end
      end
    end
  end
  table.sort(choices, function(a, b)
    if a[1] ~= b[1] then return a[1] > b[1] end
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[3] < b[3]
  end)
  for _, choice in ipairs(choices) do
    if not taken[choice[2]] and not given[choice[3]] then
      taken[choice[2]], given[choice[3]] = true, choice[2]
    end
  end
  for position, face in ipairs(frame.f) do
    local number = given[position]
    if not number then
      number = w.n
      given[position] = number
      w.n = w.n + 1
    end
    if not last[number] or last[number][1] <= frame.t then
      last[number] = {frame.t, face[2], face[3], face[4], face[5]}
    end
  end
  return given
end

local function add(frame)
  local numbers, record, highest = link(frame), {frame.t, -1}, nil
  for position, face in ipairs(frame.f) do
    local number, logit = numbers[position], face[1]
    local list = logits[number]
    if not list then
      list = {}
      logits[number] = list
    end
    table.insert(list, place(list, logit), logit)
    record[#record + 1], record[#record + 2] = number, logit
    if not highest or logit > highest then highest = logit end
  end
  if frame.u then
    record[2] = -2
    w.unread = w.unread + 1
  elseif highest then
    record[2] = math.floor(1e6 * sigmoid(highest) + 0.5)
    w.judged, w.sum = w.judged + 1, w.sum + record[2]
  end
  w.size, w.faces = w.size + 1, w.faces + #frame.f
  redis.call('HSET', FRAMES, frame.s, cmsgpack.pack(record))
  redis.call('ZADD', TIMES, frame.t, string.format('%016d', frame.s))
  if frame.t > w.new then w.new = frame.t end
end

local function let_go(name)
  local seq = tonumber(name)
  local record = cmsgpack.unpack(redis.call('HGET', FRAMES, seq))
  redis.call('HDEL', FRAMES, seq)
  for position = 3, #record, 2 do
    local list = logits[record[position]]
    table.remove(list, place(list, record[position + 1]))
    if #list == 0 then logits[record[position]] = nil end
  end
  if record[2] >= 0 then w.judged, w.sum = w.judged - 1, w.sum - record[2] end
  if record[2] == -2 then w.unread = w.unread - 1 end
  w.size, w.faces = w.size - 1, w.faces - (#record - 2) / 2
  if record[1] > w.h then w.h = record[1] end
end

local function evict()
  local old = redis.call('ZRANGEBYSCORE', TIMES, '-inf', '(' .. string.format('%.0f', w.new - rules.buffer_ms))
  local spare = w.size - #old - rules.max_frames
  if spare > 0 then old = redis.call('ZRANGE', TIMES, 0, #old + spare - 1) end
  for _, name in ipairs(old) do let_go(name) end
  if #old > 0 then redis.call('ZREMRANGEBYRANK', TIMES, 0, #old - 1) end
end

local told = {}

local function tell(seq, kind, score)
  local transition = {seq, kind, w.e, w.r, w.new, score}
  w.m[#w.m + 1] = transition
  told[#told + 1] = transition
end

local function step(seq, score)
  local now, value = w.new, score or 0
  if w.p == 'clear' and value >= rules.enter then w.p, w.since = 'suspicious', now end
  if w.p == 'suspicious' then
    if value < rules.exit then
      w.p = 'clear'
    elseif now - w.since >= rules.hold_ms then
      w.p, w.e, w.r, w.below = 'alerting', math.max(w.e + 1, math.floor(now / 1000)), band(value), -1
      tell(seq, 'raised', value)
    end
  elseif w.p == 'alerting' then
    if value >= rules.exit then
      w.below = -1
      local risk = band(value)
      if risk > w.r then
        w.r = risk
        tell(seq, 'escalated', value)
      end
    else
      if w.below < 0 then w.below = now end
      if now - w.below >= rules.cooldown_ms then
        w.p, w.below = 'clear', -1
        tell(seq, 'cleared', value)
      end
    end
  end
  -- The first frame of a stretch closes those before it.
  local stretch = math.floor(now / rules.verdict_ms)
  if w.v >= 0 and stretch > w.v then tell(seq, 'verdict', score or -1) end
  if stretch > w.v then w.v = stretch end
end

local added, replayed, late, renumbered = 0, 0, 0, 0
local score, track
for _, frame in ipairs(batch) do
  local known = kept and redis.call('HGET', FRAMES, frame.s)
  if known and cmsgpack.unpack(known)[1] == frame.t then
    replayed = replayed + 1
    for _, transition in ipairs(w.m) do
      if transition[1] == frame.s then told[#told + 1] = transition end
    end
  elseif known then
    renumbered = renumbered + 1
  elseif frame.t <= w.h or frame.t < w.new - rules.buffer_ms then
    late = late + 1
  else
    add(frame)
    evict()
    kept = true
    added = added + 1
    score, track = worst()
    step(frame.s, score)
  end
end
if added > 0 then
  -- Of a frame that is gone nothing is told again: read again it is late.
  local still = {}
  for _, transition in ipairs(w.m) do
    if redis.call('HEXISTS', FRAMES, transition[1]) == 1 then still[#still + 1] = transition end
  end
  w.m, w.l, w.b = still, {}, {}
  for number, list in pairs(logits) do w.l[#w.l + 1] = {number, list} end
  for number, box in pairs(last) do
    -- No frame that still counts can be so near to it.
    if w.new - box[1] <= rules.buffer_ms + rules.gap_ms then w.b[#w.b + 1] = {number, box} end
  end
  redis.call('SET', STATE, cmsgpack.pack(w), 'PX', rules.ttl_ms)
else
  redis.call('PEXPIRE', STATE, rules.ttl_ms)
  score, track = worst()
end
redis.call('PEXPIRE', FRAMES, rules.ttl_ms)
redis.call('PEXPIRE', TIMES, rules.ttl_ms)

local peak = 0
for _, list in pairs(logits) do peak = math.max(peak, sigmoid(list[1])) end
local oldest = redis.call('ZRANGE', TIMES, 0, 0, 'WITHSCORES')
return cjson.encode({
  added = added, replayed = replayed, late = late, renumbered = renumbered, phase = w.p, episode = w.e,
  score = score or cjson.null, track = track or cjson.null,
  frames = w.size, faces = w.faces, unread = w.unread, judged = w.judged, mean = w.judged > 0 and w.sum / w.judged / 1e6 or 0, peak = peak,
  start_ms = tonumber(oldest[2] or 0), end_ms = math.max(0, w.new),
  transitions = told,
})
