#!lua name=data_collector_@DIGEST@

-- The store itself decides what is new: each function reads the tail of what it writes to, drops what is already
-- there and refuses what would leave a hole, so that retries, several writers and fail-overs can neither double nor
-- lose a record. Everything that one call writes is written at once. docs/semantics.md explains the promises.
-- Names carry a digest of this text, so that collectors of two versions can work on one store.
-- Numbers are doubles here: ids and times must stay below 2^53.

-- Trade id and milliseconds of the last entry ever added (trimming does not change it); nil without a stream.
local function tail_of(stream)
  if redis.call('EXISTS', stream) == 0 then return nil, 0 end
  local reply = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #reply, 2 do
    if reply[i] == 'last-generated-id' then
      local ms, id = string.match(reply[i + 1], '^(%d+)-(%d+)$')
      return tonumber(id), tonumber(ms)
    end
  end
end

-- `texts` is a JSON array of texts; each becomes one entry with a field `data`.
local function add_gaps(stream, texts, maxlen)
  if texts == '' then return end
  for _, text in ipairs(cjson.decode(texts)) do
    redis.call('XADD', stream, 'MAXLEN', '~', maxlen, '*', 'data', text)
  end
end

-- `refusals` is a JSON array of [trade id, data, why, at]; those at or below the tail were written by an earlier call.
local function add_refusals(stream, refusals, maxlen, tail)
  if refusals == '' then return end
  for _, refusal in ipairs(cjson.decode(refusals)) do
    if refusal[1] > tail then
      redis.call('XADD', stream, 'MAXLEN', '~', maxlen, '*', 'data', refusal[2], 'why', refusal[3], 'at', refusal[4])
    end
  end
end

-- keys: trades stream, latest hash, gaps stream, quarantine stream
-- args: first id, count, maxlen, maxlen of the side streams, price and time text of the newest,
--       bridged tail, gaps, refusals, then time in ms and JSON of each trade, ids rising by one.
-- A hole before the first id is refused with the tail, unless the caller names that very tail as bridged: then the
-- gaps and refusals are recorded and the tail moves over them. With count 0 the tail is moved to first id - 1.
-- Returns {'OK' or 'DUP' or 'GAP', tail, how many were added}.
local function append_trades(keys, args)
  local first, count = tonumber(args[1]), tonumber(args[2])
  local tail, ms = tail_of(keys[1])
  local skip = 0
  if tail then
    skip = tail + 1 - first
    if skip < 0 then
      if args[7] ~= string.format('%d', tail) then return {'GAP', tail, 0} end
      add_gaps(keys[3], args[8], args[4])
      skip = 0
      if count == 0 then redis.call('XSETID', keys[1], string.format('%d-%d', ms, first - 1)) end
    end
  end
  add_refusals(keys[4], args[9], args[4], tail or -1)
  if skip >= count then return {'DUP', tail or -1, 0} end
  local position = 10 + skip * 2
  for id = first + skip, first + count - 1 do
    local time = tonumber(args[position])
    if time > ms then ms = time end
    redis.call('XADD', keys[1], string.format('%d-%d', ms, id), 'data', args[position + 1])
    position = position + 2
  end
  redis.call('XTRIM', keys[1], 'MAXLEN', '~', args[3])
  local last = first + count - 1
  local known = redis.call('HMGET', keys[2], 'volume', 'trade_id')
  if known[1] and (not known[2] or tonumber(known[2]) < last) then
    redis.call('HSET', keys[2], 'price', args[5], 'timestamp', args[6], 'trade_id', string.format('%d', last))
  end
  return {'OK', last, count - skip}
end

-- keys: kline stream, state hash, gaps stream, then the kline key of each record
-- args: maxlen, maxlen of the side streams, count, then of each record: interval, open time, next open time, event
--       time, '1' when closed, time to live in s, bridged open time, gaps, JSON.
-- The state of an interval is: the open time that must close next (-1 before the first close), open time and event
-- time of the newest update. Returns for each record 1 (stored), 0 (known or older), or the open time that is missing.
local function append_klines(keys, args)
  local outcome, blocked, position = {}, {}, 4
  for i = 1, tonumber(args[3]) do
    local interval, open, next_open, event = args[position], tonumber(args[position + 1]), args[position + 2],
        tonumber(args[position + 3])
    local closed, bridged = args[position + 4] == '1', args[position + 6]
    local state = redis.call('HGET', keys[2], interval) or '-1 -1 -1'
    local due, newest, newest_event = string.match(state, '^(%-?%d+) (%-?%d+) (%-?%d+)$')
    local due_open = tonumber(due)
    local old = open < due_open
        or not closed and (open < tonumber(newest) or open == tonumber(newest) and event <= tonumber(newest_event))
    local hole = closed and due_open >= 0 and open > due_open and bridged ~= due
    if blocked[interval] or hole and not old then
      outcome[i] = due
      blocked[interval] = true
    elseif old then
      outcome[i] = 0
    else
      if closed and open > due_open and due_open >= 0 then add_gaps(keys[3], args[position + 7], args[2]) end
      redis.call('XADD', keys[1], '*', 'data', args[position + 8])
      redis.call('SET', keys[3 + i], args[position + 8], 'EX', args[position + 5])
      redis.call('HSET', keys[2], interval,
        string.format('%s %d %d', closed and next_open or due, open, event))
      outcome[i] = 1
    end
    position = position + 9
  end
  redis.call('XTRIM', keys[1], 'MAXLEN', '~', args[1])
  return outcome
end

-- keys: latest hash
-- args: event time, last trade id, price, time text, then field and value of each statistic.
-- An older ticker changes nothing, and the price stays that of a newer trade. Returns 1 (stored) or 0 (older).
local function put_ticker(keys, args)
  local known = redis.call('HMGET', keys[1], 'event_ms', 'trade_id')
  if known[1] and tonumber(args[1]) <= tonumber(known[1]) then return 0 end
  redis.call('HSET', keys[1], 'event_ms', args[1], unpack(args, 5))
  if not known[2] or tonumber(args[2]) >= tonumber(known[2]) then
    redis.call('HSET', keys[1], 'price', args[3], 'timestamp', args[4], 'trade_id', args[2])
  end
  return 1
end

-- keys: stream, marker
-- args: maxlen, number of this entry (grows per writer), life of the marker in s, then field and value of the entry.
-- The marker holds the writer's last number, so that a resent entry is not added again. Returns 1 (added) or 0.
local function append_once(keys, args)
  local last = redis.call('GET', keys[2])
  if last and tonumber(args[2]) <= tonumber(last) then return 0 end
  redis.call('XADD', keys[1], 'MAXLEN', '~', args[1], '*', unpack(args, 4))
  redis.call('SET', keys[2], args[2], 'EX', args[3])
  return 1
end

redis.register_function('append_trades_@DIGEST@', append_trades)
redis.register_function('append_klines_@DIGEST@', append_klines)
redis.register_function('put_ticker_@DIGEST@', put_ticker)
redis.register_function('append_once_@DIGEST@', append_once)
