"""What the server does with the flights of one key, each step as a whole: Lua on the hash of that key.

Fields of the hash:

    f             largest fence that was given
    w, t          fence of the last fenced write of the entry, and its instant
    q             tokens of all flights, oldest first
    h<token>      a flight, as MessagePack
    F<token><n>   its frame n
    p<mode>       token of the flight that newcomers follow
    v<token>      token of the flight that took over from this one

Instants and durations are microseconds of the server's clock. What cannot be read counts as absent.
"""

from tiered_cache.tiers.redis_node import Script

KEPT_MS = 10_000
"""The hash is kept at least so long."""
MOST_FLIGHTS = 32
"""Flights of a key, ended ones included; beyond it the oldest is forgotten."""
MOST_FRAMES = 2**17
MOST_PUSHED_BYTES = 2**16
"""Followers of a larger frame hear that it is there, and read it."""

NUMBER_BYTES = 4
"""News are a kind, a token, a number and the rest."""
FOLLOWED_BY, LEFT, FRAME, BELL, BEAT = b"f", b"l", b"F", b"B", b"b"

_CLOCK = f"""
local KEPT_MS, MOST_FLIGHTS = {KEPT_MS}, {MOST_FLIGHTS}
local MOST_FRAMES, MOST_PUSHED_BYTES = {MOST_FRAMES}, {MOST_PUSHED_BYTES}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
"""
_NUMBER = (
    _CLOCK
    + """
local function number(name, field)
  local n = tonumber(redis.call('HGET', name, field) or '')
  return n and n >= 0 and n < 9007199254740992 and n or 0
end
local function keep(name, lease)
  local ms = math.max(KEPT_MS, math.ceil(2 * lease / 1000))
  if redis.call('PTTL', name) < ms then redis.call('PEXPIRE', name, ms) end
end
"""
)

_FLIGHT = (
    _NUMBER
    + """
local key, channels, token = KEYS[1], ARGV[1], ARGV[2]
local numbers = {'fence', 'claimed', 'heard', 'lease', 'frames', 'generation'}
local texts = {'state', 'mode', 'root', 'stamp', 'credential', 'followers'}

local function flight(token)
  local read, f = pcall(cmsgpack.unpack, redis.call('HGET', key, 'h' .. token) or '')
  if not read or type(f) ~= 'table' then return nil end
  for _, name in ipairs(numbers) do if type(f[name]) ~= 'number' then return nil end end
  for _, name in ipairs(texts) do if type(f[name]) ~= 'string' then return nil end end
  return f.frames >= 0 and f.frames <= MOST_FRAMES and f or nil
end
local function save(token, f)
  redis.call('HSET', key, 'h' .. token, cmsgpack.pack(f))
end
-- A clock that went back by more than a lease tells nothing.
local function heard_within(f, leases) return math.abs(now - f.heard) < leases * f.lease end
local function lives(f) return f.state == 'running' and heard_within(f, 1) end
local function hears(f, lease)
  f.heard, f.lease = now, lease
  keep(key, lease)
end

-- Lua hands over some thousand arguments at most.
local function fields_of_frames(token, first, f)
  local n, last = first, f.frames
  return function()
    local names = {}
    while n < last and #names < 500 do
      names[#names + 1] = 'F' .. token .. struct.pack('>I4', n)
      n = n + 1
    end
    return #names > 0 and names or nil
  end
end
local function add_frames(reply, token, first, f)
  for names in fields_of_frames(token, first, f) do
    for _, frame in ipairs(redis.call('HMGET', key, unpack(names))) do reply[#reply + 1] = frame end
  end
  return reply
end
local function drop_frames(token, f)
  for names in fields_of_frames(token, 0, f) do redis.call('HDEL', key, unpack(names)) end
  f.frames = 0
end

local function place_of(text, list)
  for at = 1, #list, #text do if list:sub(at, at + #text - 1) == text then return at end end
end
local function without(text, list)
  local at = place_of(text, list)
  return at and list:sub(1, at - 1) .. list:sub(at + #text) or list
end
local function unpoint(field, token)
  if redis.call('HGET', key, field) == token then redis.call('HDEL', key, field) end
end
local function forget(token, f)
  drop_frames(token, f)
  redis.call('HDEL', key, 'h' .. token)
  unpoint('p' .. f.mode, token)
  unpoint('v' .. f.root, token)
  redis.call('HSET', key, 'q', without(token, redis.call('HGET', key, 'q') or ''))
end

local function tell(process, kind, token, n, rest)
  local channel = channels .. string.format('%08x%08x', struct.unpack('>I4I4', process))
  redis.call('PUBLISH', channel, kind .. token .. struct.pack('>I4', n) .. rest)
end
local function tell_leader(kind, token) tell(token:sub(1, 8), kind, token, 0, '') end
local function tell_followers(f, kind, token, n, rest)
  for at = 1, #f.followers - 7, 8 do tell(f.followers:sub(at, at + 7), kind, token, n, rest) end
end
local function standing(f) return {math.floor(#f.followers / 8), f.frames} end
"""
)

CLAIM = Script(
    _FLIGHT
    + """
local lease, process, within, looked = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local generation, root, stamp, credential = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10]
local mode = ARGV[11]
if redis.call('HSTRLEN', key, 'q') % 16 ~= 0 then redis.call('DEL', key) end
local current = redis.call('HGET', key, 'p' .. mode)

local mine = flight(token)
if mine and mine.state == 'running' and current == token then
  hears(mine, lease)
  save(token, mine)
  return {'led', mine.fence}
end

if looked and math.abs(now - number(key, 't')) <= looked then return {'stored'} end

local function follow(token, f)
  if process == '' then return {'busy'} end
  if not place_of(process, f.followers) then
    f.followers = f.followers .. process
    save(token, f)
    tell_leader('f', token)
  end
  local age, left = math.max(0, now - f.claimed), math.floor((f.heard + f.lease - now) / 1000)
  local reply = {'followed', token, f.mode, age, left, f.generation, f.root, f.stamp, f.credential}
  return add_frames(reply, token, 0, f)
end
for n = 11, #ARGV do
  local leading = redis.call('HGET', key, 'p' .. ARGV[n])
  local f = leading and flight(leading)
  local fits = f and leading ~= root and not (within and now - f.claimed > within)
  if fits and lives(f) then return follow(leading, f) end
end

if generation > 0 then
  local taker = redis.call('HGET', key, 'v' .. root)
  local f = taker and flight(taker)
  if f and not lives(f) and f.state ~= 'ended' then return {'over'} end
end

-- One that took over is remembered when it is dead, another one is not.
local function bury(token, f)
  if f.root == '' then return forget(token, f) end
  drop_frames(token, f)
  f.state, f.heard = 'dead', now
  save(token, f)
end
local all = redis.call('HGET', key, 'q') or ''
local surplus = #all / 16 - MOST_FLIGHTS + 1
for at = 1, #all, 16 do
  local old = all:sub(at, at + 15)
  local f = flight(old)
  if not f then
    redis.call('HSET', key, 'q', without(old, redis.call('HGET', key, 'q') or ''))
  elseif old == token or at <= surplus * 16 or not heard_within(f, f.state == 'running' and 2 or 1) then
    forget(old, f)
  elseif old == current and f.state == 'running' and not lives(f) then
    bury(old, f)
  end
end

local fence = math.max(now, number(key, 'f') + 1, number(key, 'w') + 1)
save(token, {
  fence = fence, claimed = now, heard = now, lease = lease, frames = 0, generation = generation,
  state = 'running', mode = mode, root = root, stamp = stamp, credential = credential, followers = '',
})
redis.call('HSET', key, 'f', string.format('%.0f', fence), 'p' .. mode, token,
  'q', (redis.call('HGET', key, 'q') or '') .. token)
if root ~= '' then redis.call('HSET', key, 'v' .. root, token) end
keep(key, lease)
return {'led', fence}
"""
)

_RUNNING = (
    _FLIGHT
    + """
local f = flight(token)
if not f or f.state ~= 'running' then return false end
"""
)

RENEW = Script(
    _RUNNING
    + """
hears(f, tonumber(ARGV[3]))
save(token, f)
tell_followers(f, 'b', token, f.frames, '')
return standing(f)
"""
)

APPEND = Script(
    _RUNNING
    + """
local n, frame = tonumber(ARGV[4]), ARGV[5]
if n ~= f.frames then return standing(f) end
if n == MOST_FRAMES then return false end
redis.call('HSET', key, 'F' .. token .. struct.pack('>I4', n), frame)
f.frames = n + 1
hears(f, tonumber(ARGV[3]))
save(token, f)
if #frame > MOST_PUSHED_BYTES then
  tell_followers(f, 'B', token, n, '')
else
  tell_followers(f, 'F', token, n, frame)
end
return standing(f)
"""
)

END = Script(
    _RUNNING
    + """
local served, failed = ARGV[4] == '1', ARGV[5] == '1'
hears(f, tonumber(ARGV[3]))
if f.followers ~= '' and not served then
  save(token, f)
  return 0
end
if f.frames == 0 and not failed then
  forget(token, f)
else
  f.state = failed and 'failed' or 'ended'
  save(token, f)
end
return 1
"""
)

LEAVE = Script(
    _FLIGHT
    + """
local f = flight(token)
if not f or not place_of(ARGV[3], f.followers) then return 0 end
f.followers = without(ARGV[3], f.followers)
save(token, f)
if f.followers == '' and f.state == 'running' then tell_leader('l', token) end
return 1
"""
)

READ = Script(
    _FLIGHT
    + """
local f = flight(token)
if not f or f.state == 'dead' then return false end
local left = math.floor((f.heard + f.lease - now) / 1000)
return add_frames({left, f.state == 'running' and 0 or 1}, token, tonumber(ARGV[3]), f)
"""
)

FENCED_PUT = Script(
    _NUMBER
    + """
local entry, key, fence = KEYS[1], KEYS[2], tonumber(ARGV[4])
-- Without a lease it is that of the instant at which the call began.
if fence < 0 then fence = math.max(1, now - ARGV[2] + fence) end
local written = number(key, 'w')
if written > fence then return 0 end
if written == 0 then
  -- Whoever wrote last is not known any more: the entry says when it was born.
  local head = redis.pcall('GETRANGE', entry, 0, 15)
  if type(head) == 'string' and #head == 16 then
    local born, rest = struct.unpack('>I8I8', head)
    if born + rest == 9007199254740992 and born > fence then return 0 end
  end
end
redis.call('HSET', key, 'w', string.format('%.0f', fence))
if ARGV[1] == '' then
  redis.call('UNLINK', entry)
else
  local born = math.max(0, now - ARGV[2])
  local stamp = struct.pack('>I8I8', born, 9007199254740992 - born)
  redis.call('SET', entry, stamp .. ARGV[1], 'PX', ARGV[3])
  redis.call('HSET', key, 't', string.format('%.0f', now))
end
keep(key, 0)
return 1
""",
    keys=2,
)
"""Without a payload it removes."""
