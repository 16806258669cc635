-- The rolling window of one stream, and its alert: frames in, aggregates and transitions out, in one atomic step.
--
-- KEYS: the window, one MessagePack value (all of a stream lies in one key, so Redis Cluster may put it anywhere).
-- ARGV: rules (JSON), frames (JSON, in the order in which they came).
--   rules:  buffer_ms, max_frames, enter, exit, hold_ms, cooldown_ms, min_faces, top_share, bands (ascending), ttl_ms,
--           same_face (intersection over union), gap_ms
--   frame:  {s = seq, t = captured_ms, c = whether a scene begins, f = {{logit, x0, y0, x1, y1}, ...}}
-- Returns a JSON object, see `agents.live.stream_window.Outcome`.
--
-- A frame is known by its seq: read again, it changes nothing, and gives again the transitions that it led to. Each
-- frame is added, old ones are let go and the alert is looked at one after the other, so that it does not matter how
-- frames were gathered into calls. Time is the frames' own.

local rules, batch = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local kept = redis.call('GET', KEYS[1])
local w
if kept then
  w = cmsgpack.unpack(kept)
else
  -- f: frames by arrival {seq, t, {{track, logit, x0, y0, x1, y1}, ...}}; n: tracks so far; h: frames up to this time are
  -- gone; p: phase; e: episodes so far; r: risk band that was alerted; m: transitions {seq, kind, episode, band, t, score}
  w = {f = {}, n = 0, h = -1, new = -1, p = 'clear', since = 0, below = -1, e = 0, r = 0, m = {}, first = 0}
end

local seen, tracks = {}, {}

local function place(logits, value)
  local low, high = 1, #logits + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if logits[middle] > value then low = middle + 1 else high = middle end
  end
  return low
end

local function note(faces)
  for _, face in ipairs(faces) do
    local track = tracks[face[1]]
    if not track then
      track = {sum = 0, logits = {}}
      tracks[face[1]] = track
    end
    table.insert(track.logits, place(track.logits, face[2]), face[2])
  end
end

local function forget(faces)
  for _, face in ipairs(faces) do
    local track = tracks[face[1]]
    table.remove(track.logits, place(track.logits, face[2]))
    if #track.logits == 0 then tracks[face[1]] = nil end
  end
end

for _, frame in ipairs(w.f) do
  seen[frame[1]] = true
  note(frame[3])
end

local function sigmoid(logit)
  if logit >= 0 then return 1 / (1 + math.exp(-logit)) end
  local odds = math.exp(logit)
  return odds / (1 + odds)
end

-- Half the mean, half the mean of the highest share: `models.pooling.pool`.
local function pooled(logits)
  local count, sum, top = #logits, 0, 0
  local most = math.max(1, math.ceil(rules.top_share * count))
  for position = 1, count do
    sum = sum + logits[position]
    if position == most then top = sum end
  end
  return 0.5 * (sum / count + top / most)
end

-- The worst track with enough evidence: its probability and number; nothing without one.
local function worst()
  local logit, number
  for name, track in pairs(tracks) do
    if #track.logits >= rules.min_faces then
      local value = pooled(track.logits)
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

local function overlap(a, b)
  local width = math.min(a[5], b[4]) - math.max(a[3], b[2])
  local height = math.min(a[6], b[5]) - math.max(a[4], b[3])
  if width <= 0 or height <= 0 then return 0 end
  local both = width * height
  return both / ((a[5] - a[3]) * (a[6] - a[4]) + (b[4] - b[2]) * (b[5] - b[3]) - both)
end

-- Give each face the number of its track: that of the face it overlaps most among those last seen, or a new one.
local function link(frame)
  local last, faces, pairs_, taken, given = {}, {}, {}, {}, {}
  if not frame.c then
    for position = #w.f, 1, -1 do
      local earlier = w.f[position]
      if frame.t - earlier[2] > rules.gap_ms then break end
      for _, face in ipairs(earlier[3]) do
        if face[1] >= w.first and not last[face[1]] and earlier[2] <= frame.t then last[face[1]] = face end
      end
    end
  else
    w.first = w.n
  end
  for number, before in pairs(last) do
    for position, face in ipairs(frame.f) do
      local share = overlap(before, face)
      if share >= rules.same_face then pairs_[#pairs_ + 1] = {share, number, position} end
    end
  end
  table.sort(pairs_, function(a, b)
    if a[1] ~= b[1] then return a[1] > b[1] end
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[3] < b[3]
  end)
  for _, pair in ipairs(pairs_) do
    if not taken[pair[2]] and not given[pair[3]] then
      taken[pair[2]], given[pair[3]] = true, pair[2]
    end
  end
  for position, face in ipairs(frame.f) do
    local number = given[position]
    if not number then
      number = w.n
      w.n = w.n + 1
    end
    faces[position] = {number, face[1], face[2], face[3], face[4], face[5]}
  end
  return faces
end

local function add(frame, faces)
  -- In order of time; nearly always at the end.
  local position = #w.f + 1
  while position > 1 and w.f[position - 1][2] > frame.t do position = position - 1 end
  table.insert(w.f, position, {frame.s, frame.t, faces})
  seen[frame.s] = true
  note(faces)
  if frame.t > w.new then w.new = frame.t end
end

local function evict()
  while #w.f > rules.max_frames or (#w.f > 0 and w.f[1][2] < w.new - rules.buffer_ms) do
    local oldest = table.remove(w.f, 1)
    seen[oldest[1]] = nil
    forget(oldest[3])
    if oldest[2] > w.h then w.h = oldest[2] end
  end
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
      w.p, w.e, w.r, w.below = 'alerting', w.e + 1, band(value), -1
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
end

local added, replayed, late = 0, 0, 0
local score, track
for _, frame in ipairs(batch) do
  if seen[frame.s] then
    replayed = replayed + 1
    for _, transition in ipairs(w.m) do
      if transition[1] == frame.s then told[#told + 1] = transition end
    end
  elseif frame.t <= w.h or frame.t < w.new - rules.buffer_ms then
    late = late + 1
  else
    add(frame, link(frame))
    evict()
    added = added + 1
    score, track = worst()
    step(frame.s, score)
  end
end
if added > 0 then
  -- Of a frame that is gone nothing is told again: read again it is late.
  local still = {}
  for _, transition in ipairs(w.m) do
    if seen[transition[1]] then still[#still + 1] = transition end
  end
  w.m = still
  redis.call('SET', KEYS[1], cmsgpack.pack(w), 'PX', rules.ttl_ms)
else
  if kept then redis.call('PEXPIRE', KEYS[1], rules.ttl_ms) end
  score, track = worst()
end

local faces, sum, peak, judged = 0, 0, 0, 0
for _, frame in ipairs(w.f) do
  local highest
  for _, face in ipairs(frame[3]) do
    faces = faces + 1
    if not highest or face[2] > highest then highest = face[2] end
  end
  if highest then
    local value = sigmoid(highest)
    judged, sum = judged + 1, sum + value
    if value > peak then peak = value end
  end
end
return cjson.encode({
  added = added, replayed = replayed, late = late, phase = w.p, episode = w.e,
  score = score or cjson.null, track = track or cjson.null,
  frames = #w.f, faces = faces, mean = judged > 0 and sum / judged or 0, peak = peak,
  start_ms = #w.f > 0 and w.f[1][2] or 0, end_ms = #w.f > 0 and w.f[#w.f][2] or 0,
  transitions = #told > 0 and told or cjson.empty_array or {},
})
