"""The ledger's steps in Lua. Each is atomic, touches one partition, and names every key it uses.

A brand-day's hash is read only when one of its bids is next in line, and written once per call. What is due
is released when its money is needed, a thousand reservations at a time; the sweep releases the rest.
"""

from adbid.data.ledger_keys import NEVER

EXHAUSTED, UNAVAILABLE, WON, UNDECIDED = "e", "u", "w", "."
"""What a script says of a candidate."""

_AT_ONCE = 1_000

_MICROS = """
local function micros_of(member) return tonumber(string.match(member, '^[^\\31]*\\31[^\\31]*\\31(%d+)')) end
"""

# Defines release(open, now): ends reservations that are due, oldest first. Returns the micros that frees,
# when the next one is due, and how many ended.
_RELEASE = f"""
{_MICROS}
local function release(open, now)
  local over = redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, {_AT_ONCE})
  local freed = 0
  for _, member in ipairs(over) do
    freed = freed + micros_of(member)
  end
  if #over > 0 then redis.call('ZREMRANGEBYRANK', open, 0, #over - 1) end
  local first = redis.call('ZRANGE', open, 0, 0, 'WITHSCORES')
  return freed, tonumber(first[2]) or {NEVER}, #over
end
"""

# The same for a preview: all that is due counts as ended, and stays.
_OVERLOOK = f"""
{_MICROS}
local function release(open, now)
  local freed = 0
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', now)) do
    freed = freed + micros_of(member)
  end
  return freed, {NEVER}
end
"""

# KEYS: 1 alive, 2 days; from `first` on the hashes of all brand-days, then their open reservations.
# ARGV: 1 now, 2 when reservations end by pricing model, 3 brand-days (budget, version, drawn before), 4 items
# (number of the brand-day or 0 without a budget, micros, length of the text), 5 contests (how many items, how
# many of them are in line without a gap, the length of their texts), 6 a letter per item for its pricing
# model, 7 texts (bid, micros, partner, slot, pricing model), 8 decision.
# Sets `answer`: one text per contest, a letter per item that was asked; `won`: a record of each winner.
#
# An item that is in line ends its contest when its brand can afford it, and is refused when not. One that
# isn't in line yet may only be refused, and only where that writes nothing (except that what has ended is
# released): nothing that happens before its turn can make it affordable again. Where an earlier contest is
# still open, a grant must leave what that contest could still want of the same brand-day.
_RESERVE = f"""
local now, numbers, items, contests, texts = tonumber(ARGV[1]), ARGV[3], ARGV[4], ARGV[5], ARGV[7]
local cpm, cpc, cpa = struct.unpack('<ddd', ARGV[2])
local ends = {{[77] = cpm, [67] = cpc, [65] = cpa}}
local alive = redis.call('EXISTS', KEYS[1]) == 1
local count = #numbers / 24
local left, due, gained, newer, changed, moved = {{}}, {{}}, {{}}, {{}}, {{}}, {{}}  -- all by brand-day
local reserved, granted = {{}}, {{}}
local ahead, answer, won = {{}}, {{}}, {{}}

local function name_of(number) return string.sub(KEYS[first + number - 1], #KEYS[2] + 1) end

local function load(number)
  local key = KEYS[first + number - 1]
  local stored = redis.call('HMGET', key, 'budget', 'version', 'spent', 'reserved', 'due', 'granted')
  local budget, version, drawn = struct.unpack('<ddd', numbers, number * 24 - 23)
  local known = tonumber(stored[2])
  if budget > {NEVER} then budget = {NEVER} end
  if known and known >= version then budget = tonumber(stored[1]) else newer[number] = budget end
  reserved[number], granted[number] = tonumber(stored[4]) or 0, tonumber(stored[6]) or 0
  left[number] = budget - (tonumber(stored[3]) or 0) - reserved[number] - drawn
  due[number] = tonumber(stored[5]) or {NEVER}
  if not stored[5] then moved[number] = true end
end

local function affords(number, micros)
  while micros > left[number] and due[number] <= now do
    local freed
    freed, due[number] = release(KEYS[first + count + number - 1], now)
    left[number] = left[number] + freed
    gained[number] = (gained[number] or 0) - freed
    changed[number], moved[number] = true, true
  end
  return micros <= left[number]
end

local function judge(number, micros, in_line)
  if not alive then return '{UNAVAILABLE}' end
  if not left[number] then load(number) end
  if newer[number] and not changed[number] then
    if not in_line then return '{UNDECIDED}' end
    changed[number] = true
  end
  if not affords(number, micros) then return '{EXHAUSTED}' end
  local before = ahead[number]
  if not in_line or (before and not affords(number, micros + before)) then return '{UNDECIDED}' end
  return '{WON}'
end

local function grant(number, micros, ending, text)
  if micros == 0 then return end
  local open = KEYS[first + count + number - 1]
  if not dry and redis.call('ZADD', open, 'NX', ending, ARGV[8] .. '\\31' .. text) == 0 then return end
  left[number] = left[number] - micros
  gained[number] = (gained[number] or 0) + micros
  granted[number] = granted[number] + micros
  changed[number] = true
  if ending < due[number] then due[number], moved[number] = ending, true end
end

local item, text_from = 0, 1
for contest = 1, #contests / 12 do
  local total, line, bytes = struct.unpack('<I4I4I4', contests, contest * 12 - 11)
  local codes, open = {{}}, true
  local from = text_from
  for i = 1, total do
    local number, micros, length = struct.unpack('<I4dH', items, (item + i) * 14 - 13)
    local bid = verdicts and string.match(texts, '^[^\\31]*', from)
    local code = bid and verdicts[bid]
    if not code then
      code = number == 0 and '{WON}' or judge(number, micros, i <= line)
      if code == '{WON}' and number > 0 then
        local ending = ends[string.byte(ARGV[6], item + i)]
        grant(number, micros, ending, string.sub(texts, from, from + length - 1))
      end
      if bid and code ~= '{UNDECIDED}' then
        fresh[#fresh + 1] = bid
        fresh[#fresh + 1] = code
      end
    end
    codes[i] = code
    if code == '{WON}' then
      open = false
      local winner, rest = string.match(string.sub(texts, from, from + length - 1), '^([^\\31]*)\\31(.*)$')
      won[#won + 1] = winner
      won[#won + 1] = number == 0 and rest or rest .. '\\31' .. name_of(number)
      break
    elseif code == '{UNDECIDED}' then
      line = 0
    end
    from = from + length
  end
  if open then
    local wanted = {{}}
    for i = 1, total do
      if codes[i] == '{UNDECIDED}' then
        local number, micros = struct.unpack('<I4d', items, (item + i) * 14 - 13)
        wanted[number] = math.max(wanted[number] or 0, micros)
      end
    end
    for number, micros in pairs(wanted) do ahead[number] = (ahead[number] or 0) + micros end
  end
  item, text_from = item + total, text_from + bytes
  answer[contest] = table.concat(codes) .. ','
end
answer = table.concat(answer)

if not dry then
  for number in pairs(changed) do
    local key = KEYS[first + number - 1]
    local total = string.format('%.0f', reserved[number] + (gained[number] or 0))
    local fields = {{'reserved', total, 'granted', string.format('%.0f', granted[number])}}
    if newer[number] then
      local _, version = struct.unpack('<dd', numbers, number * 24 - 23)
      fields[5], fields[6], fields[7], fields[8] = 'budget', newer[number], 'version', version
    end
    if newer[number] or moved[number] then
      fields[#fields + 1] = 'due'
      fields[#fields + 1] = due[number]
    end
    redis.call('HSET', key, unpack(fields))
    if moved[number] then redis.call('ZADD', KEYS[2], due[number], name_of(number)) end
  end
end
"""

# What is known of a decision: -1 it was of other bids, -2 its time is over, or how it ended.
# KEYS: 3 decision, 4 what it won.
_KNOWN = """
local known = redis.call('HMGET', KEYS[3], 'fingerprint', 'outcome', 'record')
if known[1] and known[1] ~= fingerprint then return -1 end
if known[2] then return {known[2], known[3]} end
if not known[1] and redis.call('EXISTS', KEYS[4]) == 1 then return -2 end
"""

# Ends a decision. ARGV from `after` on: how long it and what it won are kept, record.
_WRITE_DOWN = """
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], 'fingerprint', fingerprint, 'outcome', answer, 'record', ARGV[after + 2])
redis.call('EXPIRE', KEYS[3], ARGV[after])
for from = 1, #won, 1000 do
  redis.call('HSET', KEYS[4], unpack(won, from, math.min(from + 999, #won)))
end
if #won > 0 then redis.call('EXPIRE', KEYS[4], ARGV[after + 1]) end
"""

# A whole decision in one partition. KEYS: alive, days, decision, won, brand-days. ARGV[9]: fingerprint.
DECIDE = f"""
local first, after, fingerprint, dry, verdicts = 5, 10, ARGV[9], false, nil
{_KNOWN}
{_RELEASE}
{_RESERVE}
{_WRITE_DOWN}
return answer
"""

# The same rules, nothing written. KEYS: alive, days, brand-days.
PREVIEW = f"""
local first, dry, verdicts = 3, true, nil
{_OVERLOOK}
{_RESERVE}
return answer
"""

# A decision over several partitions begins with its claim. KEYS as DECIDE without brand-days. ARGV:
# fingerprint, how long it is kept, record, a name for this claim, contests. 0 when it is new; else what an
# unfinished one said: its claim, contests and record.
CLAIM = f"""
local fingerprint = ARGV[1]
{_KNOWN}
if known[1] then return redis.call('HMGET', KEYS[3], 'claim', 'contests', 'record') end
redis.call('HSET', KEYS[3], 'fingerprint', fingerprint, 'record', ARGV[3], 'claim', ARGV[4])
redis.call('HSET', KEYS[3], 'contests', ARGV[5])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return 0
"""

# Goes on with a part in each partition. What was said once is said again: a step may be repeated by whoever
# finishes the decision. KEYS: alive, days, verdicts, brand-days. ARGV[9]: how long verdicts are kept.
RESERVE = f"""
local first, dry, verdicts, fresh = 4, false, {{}}, {{}}
local before = redis.call('HGETALL', KEYS[3])
for i = 1, #before, 2 do verdicts[before[i]] = before[i + 1] end
{_RELEASE}
{_RESERVE}
for from = 1, #fresh, 1000 do
  redis.call('HSET', KEYS[3], unpack(fresh, from, math.min(from + 999, #fresh)))
end
if #fresh > 0 then redis.call('EXPIRE', KEYS[3], ARGV[9]) end
return answer
"""

# And ends where it began: the first who gets here says how. KEYS as CLAIM. ARGV: fingerprint, answer, as
# _WRITE_DOWN, then what was won.
FINISH = f"""
local fingerprint, answer, after = ARGV[1], ARGV[2], 3
{_KNOWN}
local won = {{}}
for i = 6, #ARGV do won[i - 5] = ARGV[i] end
{_WRITE_DOWN}
return answer
"""

# Ends charged reservations, and takes over what MySQL says was spent where it is newer. KEYS: days, then a
# hash and open reservations for each brand-day. ARGV, for each brand-day: spent and revision (or two empty
# texts), how many reservations, and these.
SETTLE = f"""
{_MICROS}
local at = 1
for place = 2, #KEYS, 2 do
  local key, open = KEYS[place], KEYS[place + 1]
  local spent, revision, closed = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local freed = 0
  for i = at + 3, at + 2 + closed do
    if redis.call('ZREM', open, ARGV[i]) == 1 then
      freed = freed + micros_of(ARGV[i])
    end
  end
  if freed > 0 then redis.call('HINCRBY', key, 'reserved', string.format('%.0f', -freed)) end
  if spent ~= '' then
    local known = redis.call('HGET', key, 'revision')
    if not known or tonumber(revision) > tonumber(known) then
      redis.call('HSET', key, 'spent', spent, 'revision', revision)
      redis.call('ZADD', KEYS[1], 'NX', {NEVER}, string.sub(key, #KEYS[1] + 1))
    end
  end
  at = at + 3 + closed
end
"""

# Ends what is due. KEYS: days, then a hash and open reservations for each brand-day. ARGV: now.
# How many reservations ended, and whether more are due.
SWEEP = f"""
{_RELEASE}
local now, ended, more = tonumber(ARGV[1]), 0, 0
for place = 2, #KEYS, 2 do
  local key = KEYS[place]
  local freed, due, number = release(KEYS[place + 1], now)
  if freed > 0 then redis.call('HINCRBY', key, 'reserved', string.format('%.0f', -freed)) end
  redis.call('HSET', key, 'due', due)
  redis.call('ZADD', KEYS[1], due, string.sub(key, #KEYS[1] + 1))
  ended = ended + number
  if due <= now then more = 1 end
end
return {{ended, more}}
"""

# Forgets brand-days. KEYS: days, then a hash and open reservations for each brand-day.
FORGET = """
for place = 2, #KEYS, 2 do
  redis.call('ZREM', KEYS[1], string.sub(KEYS[place], #KEYS[1] + 1))
  redis.call('UNLINK', KEYS[place], KEYS[place + 1])
end
"""

# KEYS: a hash and open reservations for each brand-day. What each has reserved, and the sum of its open ones.
ADD_UP = f"""
{_MICROS}
local sums = {{}}
for place = 1, #KEYS, 2 do
  local sum = 0
  for _, member in ipairs(redis.call('ZRANGE', KEYS[place + 1], 0, -1)) do
    sum = sum + micros_of(member)
  end
  sums[#sums + 1] = redis.call('HGET', KEYS[place], 'reserved') or '0'
  sums[#sums + 1] = string.format('%.0f', sum)
end
return sums
"""

# Puts lost days back while the lock is ours (else 0). KEYS: lock, days, then a hash and open reservations for
# each brand-day. ARGV: token, lock's lifetime, then for each: budget or an empty text, version, spent,
# revision, granted, how many reservations, and for each of these when it ends, and itself.
PUT_BACK = f"""
{_MICROS}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local at = 3
for place = 3, #KEYS, 2 do
  local key, open, reserved, due = KEYS[place], KEYS[place + 1], 0, {NEVER}
  redis.call('DEL', open)
  local count = tonumber(ARGV[at + 5])
  for i = at + 6, at + 4 + 2 * count, 2 do
    if redis.call('ZADD', open, ARGV[i], ARGV[i + 1]) == 1 then
      reserved = reserved + micros_of(ARGV[i + 1])
    end
    due = math.min(due, tonumber(ARGV[i]))
  end
  redis.call('HSET', key, 'reserved', string.format('%.0f', reserved), 'granted', ARGV[at + 4], 'due', due)
  if ARGV[at] ~= '' then redis.call('HSET', key, 'budget', ARGV[at], 'version', ARGV[at + 1]) end
  local known = redis.call('HGET', key, 'revision')
  if not known or tonumber(ARGV[at + 3]) > tonumber(known) then
    redis.call('HSET', key, 'spent', ARGV[at + 2], 'revision', ARGV[at + 3])
  end
  redis.call('ZADD', KEYS[2], due, string.sub(key, #KEYS[2] + 1))
  at = at + 6 + 2 * count
end
return 1
"""

# KEYS: lock, alive. ARGV: token. 0 when the lock is no longer ours.
REVIVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
return 1
"""

# KEYS: lock. ARGV: token.
UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
