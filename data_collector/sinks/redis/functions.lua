#!lua name=data_collector_@DIGEST@

-- The store itself decides what is new: each function reads the tail of what it writes to, drops what is already
-- there and refuses what would leave a hole, so that retries, several writers and fail-overs can neither double nor
-- lose a record. Everything that one call writes is written at once: whatever can fail is looked at before the first
-- write. docs/semantics.md explains the promises.
-- Names carry a digest of this text, so that collectors of two versions can work on one store.
-- Numbers are doubles here: ids and times must stay below 2^53.
local ID_END = 2 ^ 53

-- How far back it is looked for entries of somebody else where it is not known which one we wrote last.
local TRADES_LOOKED_AT = 100
-- And where it is known, how many are looked at behind it, so many at a time.
local OTHERS_LOOKED_AT = 20000
local PAGE = 1000
local GAPS_LOOKED_AT = 1000
local KLINES_LOOKED_AT = 100
local CLOSED_LOOKED_AT = 5000

-- By so much another collector may be ahead of ours.
local AHEAD_MS = 60000
local DAY_MS = 86400000
-- The year 2000: no exchange tells of klines from before.
local EARLIEST_MS = 946684800000

-- What another collector can have stored of tickers and trades before ours.
local TICKERS_AHEAD_MS = 3600000
local IDS_AHEAD = 1000000

-- Side entries of one writer that may wait.
local NUMBERS_MAX = 100000

-- Of each database and stream of trades `id`, the entry that a function of this library wrote last, or has looked at,
-- and its `epoch`; then `stranger`, an entry of somebody else that was found there, and `last`, the last id then: as
-- long as that stays, nothing is written behind it, whatever comes; `others`, the last id of those that were looked at
-- and are not of this library; and `empty`, where nothing was there when it was looked at last. The server forgets it
-- when it starts, and when the library is loaded anew.
local remembered = {}

-- Of each stream of klines and interval the newest closed one that a function of this library wrote: when it opened,
-- what was due then, and the entry.
local closed_ones = {}

local function memory_of(database, stream)
  local place = database .. ' ' .. stream
  local memory = remembered[place]
  if not memory then
    memory = {}
    remembered[place] = memory
  end
  return memory
end

-- Whether the key exists. Raises WRONGTYPE with the key's name when somebody uses it for something else.
local function exists(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found == 'none' then return false end
  if found ~= wanted then error({err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. ' and should be a ' .. wanted}) end
  return true
end

-- Milliseconds and number of an entry's id; nil for a text that is none, or that doubles do not tell from others.
local function id_of(text)
  local ms, number = string.match(text or '', '^(%d+)-(%d+)$')
  ms, number = tonumber(ms), tonumber(number)
  if ms and ms < ID_END and number < ID_END then return ms, number end
end

-- The value behind a name, of names and values in turn.
local function field_of(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

-- What XINFO STREAM tells, and the last id of it; nil where no entry was ever added.
local function facts_of(stream)
  if not exists(stream, 'stream') then return nil end
  local facts = redis.call('XINFO', 'STREAM', stream)
  local last = field_of(facts, 'last-generated-id')
  if last ~= '0-0' then return facts, last end
end

-- Milliseconds and number of the last entry ever added (trimming does not change it); nil without a stream. Raises
-- WRONGTYPE where somebody has taken the last ids there are: nothing can be added any more.
local function tail_of(stream)
  local facts, last = facts_of(stream)
  if not facts then return nil end
  local ms, number = id_of(last)
  if not ms then error({err = 'WRONGTYPE ' .. stream .. " holds somebody else's entry " .. last}) end
  return ms, number
end

-- The number of a text; nil for one that is none, or that doubles do not tell from others.
local function number_of(text)
  local number = tonumber(text)
  return number and number > -ID_END and number < ID_END and number or nil
end

-- The number of an epoch; nil for a text that is none.
local function epoch_number(text)
  return string.match(text, '^%d+$') and #text <= 9 and tonumber(text) or nil
end

-- Whether a side stream takes entries: one of another type, or whose last ids somebody has taken, does not.
local function takes_entries(stream)
  local found = redis.call('TYPE', stream).ok
  if found ~= 'stream' then return found == 'none' end
  local _, last = facts_of(stream)
  return not last or id_of(last) ~= nil
end

-- What was refused is a JSON array of entries, or an empty text. A stream that takes none is passed over and told.
local function entries_of(text, stream, foreign)
  if text == '' then return {} end
  if takes_entries(stream) then return cjson.decode(text) end
  foreign[#foreign + 1] = stream
  return {}
end

-- Further fields: those given, and the epoch where it is above 0.
local function with_epoch(fields, epoch)
  if epoch > 0 then fields[#fields + 1], fields[#fields + 2] = 'epoch', string.format('%d', epoch) end
  return fields
end

-- `gaps` is a JSON array of entries, or an empty text.
local function add_gaps(stream, gaps, maxlen, epoch)
  local more = with_epoch({}, epoch)
  for _, gap in ipairs(gaps ~= '' and cjson.decode(gaps) or {}) do
    redis.call('XADD', stream, 'MAXLEN', '~', maxlen, '*', 'data', gap, unpack(more))
  end
end

-- Whether `gaps:` declares the trades from first to last of an epoch.
local function is_declared(stream, first, last, epoch)
  if redis.call('TYPE', stream).ok ~= 'stream' then return false end
  local entries = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', GAPS_LOOKED_AT)
  for i = #entries, 1, -1 do
    local fields = entries[i][2]
    local readable, gap = pcall(cjson.decode, field_of(fields, 'data') or '')
    local is_gap = readable and type(gap) == 'table' and gap.channel == 'trade' and type(gap.first) == 'number' and
        type(gap.last) == 'number' and epoch_number(field_of(fields, 'epoch') or '0') == epoch
    if is_gap and gap.first <= first and gap.last >= first then first = gap.last + 1 end
  end
  return first > last
end

-- Whether two texts of one trade tell another price or quantity; exchanges write one number in several ways.
local function differ(one, another)
  for _, name in ipairs({'price', 'quantity'}) do
    local pattern = '"' .. name .. '":(-?[%d.]+)'
    local number = tonumber(string.match(one, pattern))
    if not number or number ~= tonumber(string.match(another, pattern)) then return true end
  end
  return false
end

-- The id of an entry of somebody else at the end of a stream of trades, or moved there; nil without one. Looked at is
-- what stands behind the entry that we wrote last, or without that the newest ones: they read as our trades, ids rise
-- by one but for what `gaps:` declares, and are the caller's trades where it has them too.
local function stranger_in(stream, gaps, facts, last, epoch, memory, first, records)
  local ms, due = id_of(last)
  if not ms then return last end
  local known_ms, known, from = nil, nil, '-'
  local first_entry = field_of(facts, 'first-entry')
  local oldest_ms, oldest = id_of(first_entry and first_entry[1])
  if memory.id and memory.epoch == epoch then known_ms, known = id_of(memory.id) end
  if known and not (known_ms < ms or known_ms == ms and known <= due) then
    -- An older copy of the stream.
    known = nil
  elseif known and oldest and (known_ms < oldest_ms or known_ms == oldest_ms and known < oldest) then
    -- Trimmed since, and so far that what was between is gone.
    if oldest <= known then return first_entry[1] end
    known = nil
  elseif known then
    from = '(' .. memory.id
  end
  local holes, left, seen = {}, known and OTHERS_LOOKED_AT or TRADES_LOOKED_AT, 0
  local to, is_whole = '+', false
  while left > 0 and not is_whole do
    local wanted = math.min(left, PAGE)
    local entries = redis.call('XREVRANGE', stream, to, from, 'COUNT', wanted)
    for _, entry in ipairs(entries) do
      local _, id = id_of(entry[1])
      local record, of = entry[2][2], epoch_number(field_of(entry[2], 'epoch') or '0')
      if not id or entry[2][1] ~= 'data' or not of or of > epoch or id > due and of == epoch
          or not string.find(record, string.format('"trade_id":%d,', id), 1, true) then
        return entry[1]
      end
      if of < epoch then return nil end
      local ours = records and records[id - first]
      if ours and ours ~= record and differ(ours, record) then return entry[1] end
      if id < due then holes[#holes + 1] = {id + 1, due} end
      due = id - 1
      to = '(' .. entry[1]
    end
    is_whole = #entries < wanted
    left, seen = left - #entries, seen + #entries
  end
  if known and is_whole then
    if due < known or due == known and seen == 0 then return last end
    if due > known then holes[#holes + 1] = {known + 1, due} end
  end
  for _, hole in ipairs(holes) do
    if not is_declared(gaps, hole[1], hole[2], epoch) then return last end
  end
end

-- Trade id and milliseconds of the last entry, and its epoch: what the key says (and true) or, where it was lost, the
-- newest entry; then the id of an entry of somebody else that stands there; then what XINFO tells, and the last id. Nil
-- of what is not there. `memory` is that of the stream. `first` is the id of the caller's first trade, and `args` are
-- those of append_trades; or nil.
local function end_of_trades(stream, gaps, key, memory, first, args)
  local found = redis.pcall('GET', key)
  local facts, last = facts_of(stream)
  if type(found) == 'table' then
    exists(key, 'string')
    error(found)
  end
  local epoch = found and epoch_number(found)
  if found and not epoch then error({err = 'WRONGTYPE ' .. key .. ' holds no number'}) end
  local newest = facts and field_of(facts, 'last-entry')
  -- What begins an epoch sets its key with the first entry, and we know those that were there, or the caller does.
  local known = memory.epoch or args and tonumber(args[11])
  if not newest and found and epoch > (known or epoch) then
    local words = 'WRONGTYPE %s says %d, and %s was in epoch %d'
    error({err = string.format(words, key, epoch, stream, known)})
  end
  if not facts then
    memory.id, memory.empty = nil, true
    return nil, 0, epoch, found and true
  end
  local of = newest and epoch_number(field_of(newest[2], 'epoch') or '0')
  if not epoch then epoch = of or 0 end
  local ms, tail = id_of(last)
  if last ~= memory.id then
    local records
    if first then
      records = {}
      for i = 15, #args, 2 do records[(i - 15) / 2] = args[i] end
    end
    local stranger = memory.last == last and memory.stranger
        or stranger_in(stream, gaps, facts, last, epoch, memory, first, records)
    -- Nobody else begins it: what stands there now is what the caller has, from its first trade on.
    local begun = memory.empty and field_of(facts, 'first-entry')
    if not stranger and begun then
      local _, oldest = id_of(begun[1])
      if not (records and records[(oldest or -1) - first]) then stranger = begun[1] end
    end
    -- Who begins an epoch sets its key.
    if not stranger and not found and memory.id and epoch > memory.epoch then stranger = newest[1] end
    if stranger then
      memory.stranger, memory.last = stranger, last
      return tail, ms, epoch, found and true, stranger
    end
  end
  if of and of < epoch then
    error({err = string.format('WRONGTYPE %s says %d, and %s is in epoch %d', key, epoch, stream, of)})
  end
  -- Who has no trades to compare with believes nothing that stands behind what we wrote.
  if first or not memory.id then
    -- What stood there when the server started was looked at with what the caller has.
    if (memory.id or memory.empty) and last ~= memory.id then memory.others = tail end
    memory.id, memory.epoch, memory.empty = last, epoch, nil
  end
  return tail, ms, epoch, found and true, nil, facts, last
end

-- The id of an entry that tells another trade than the caller has under its id, of those that are stored; or nil.
local function other_than(stream, tail, first, count, args)
  local known = math.min(tail - first + 1, OTHERS_LOOKED_AT)
  if known <= 0 then return nil end
  for _, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', known)) do
    local _, id = id_of(entry[1])
    local ours = id and id >= first and id < first + count and args[15 + (id - first) * 2]
    if ours and ours ~= entry[2][2] and differ(ours, entry[2][2]) then return entry[1] end
  end
end

-- keys: trades stream, gaps stream, epoch
-- args: number of the database
-- Where the trades of a symbol end: {last id, epoch, id of the first entry, epoch of that, id of the newest entry}, ''
-- for what there is not; {} without a stream, or {'FOREIGN', id of somebody else's entry}.
local function trades_end(keys, args)
  local memory = memory_of(args[1], keys[1])
  local _, _, epoch, _, stranger, facts, last = end_of_trades(keys[1], keys[2], keys[3], memory)
  if stranger then return {'FOREIGN', stranger} end
  if not facts then return {} end
  local oldest, newest = field_of(facts, 'first-entry'), field_of(facts, 'last-entry')
  local oldest_epoch = oldest and epoch_number(field_of(oldest[2], 'epoch') or '0') or 0
  return {last, epoch, oldest and oldest[1] or '', oldest_epoch, newest and newest[1] or ''}
end

-- '<time> <rules> <source>': the time, and the further fields of the entry.
local function marks_of(text)
  local time, warnings, source = string.match(text, '^(%d+) ([^ ]*) ?(.*)$')
  local more = {}
  if warnings ~= '' then more = {'warnings', warnings} end
  if source ~= '' then
    more[#more + 1] = 'src'
    more[#more + 1] = source
  end
  return tonumber(time), more
end

-- keys: trades stream, latest hash, gaps stream, quarantine stream, epoch
-- args: first id, count, maxlen, maxlen of the side streams, price and time text of the newest,
--       bridged tail, gaps, refusals as [trade id, field, value, ..], '1' when it may begin a stream or an epoch,
--       epoch, tail of the epoch before that it begins behind, number of the database, then time in ms and JSON of each
--       trade, ids rising by one. Behind the time and a blank may stand the rules that the trade is marked with, and
--       behind a further blank where it came from.
-- A hole before the first id is refused with the tail (-1: there is no stream), unless the caller names that very tail
-- as bridged: then the gaps are recorded and the tail moves over them. With count 0 the tail is moved to first id - 1.
-- Refusals at or below the tail were written by an earlier call. Nothing is done ('FOREIGN') where an entry of somebody
-- else is the newest, or was.
-- Ids are unique within an epoch. The stream is in one; a later one begins with its first record, where the caller knows
-- the tail of the one before, and every ms of its entries is later, so that ids may be smaller.
-- Returns {'OK' or 'DUP', tail, how many were added, 1 when a hole was bridged, then keys that are not ours},
-- {'FOREIGN', id of that entry}, or {'GAP', tail, epoch of the stream}, also where that is a later one.
local function append_trades(keys, args)
  local first, count, bridged, epoch = tonumber(args[1]), tonumber(args[2]), 0, tonumber(args[11])
  local memory = memory_of(args[13], keys[1])
  local tail, ms, present, is_kept, stranger = end_of_trades(keys[1], keys[3], keys[5], memory, first, args)
  if stranger then return {'FOREIGN', stranger} end
  local begins = epoch > (present or 0)
  if present and epoch < present then return {'GAP', tail or -1, present} end
  if tail and not begins and first <= (memory.others or -1) then
    stranger = other_than(keys[1], tail, first, count, args)
    if stranger then
      memory.stranger, memory.last = stranger, string.format('%d-%d', ms, tail)
      memory.id = nil
      return {'FOREIGN', stranger}
    end
  end
  if begins and tail then
    if args[10] ~= '1' or args[12] ~= string.format('%d', tail) then return {'GAP', tail, present} end
    tail, ms = nil, ms + 1
  end
  if not tail and args[10] ~= '1' then return {'GAP', -1, epoch} end
  local skip = tail and tail + 1 - first or 0
  if skip < 0 then
    if args[7] ~= string.format('%d', tail) then return {'GAP', tail, epoch} end
    skip, bridged = 0, 1
  end
  local foreign, price_known = {}, {}
  local latest = redis.call('TYPE', keys[2]).ok
  if latest == 'hash' then
    price_known = redis.call('HMGET', keys[2], 'volume', 'trade_id', 'timestamp')
  end
  if latest ~= 'hash' and latest ~= 'none' or price_known[2] and not number_of(price_known[2]) then
    foreign[1], price_known = keys[2], {}
  end
  -- No hole is passed over that cannot be declared.
  if bridged == 1 then tail_of(keys[3]) end
  local refusals = entries_of(args[9], keys[4], foreign)
  if bridged == 1 then
    add_gaps(keys[3], args[8], args[4], epoch)
    if count == 0 then
      memory.id, memory.epoch, memory.empty = string.format('%d-%d', ms, first - 1), epoch, nil
      redis.call('XSETID', keys[1], memory.id)
    end
  end
  for _, refusal in ipairs(refusals) do
    if refusal[1] > (tail or -1) then
      redis.call('XADD', keys[4], 'MAXLEN', '~', args[4], '*', unpack(refusal, 2))
    end
  end
  if skip >= count then return {'DUP', tail or -1, 0, bridged, unpack(foreign)} end
  if begins or not is_kept then redis.call('SET', keys[5], args[11]) end
  local position = 14 + skip * 2
  for id = first + skip, first + count - 1 do
    local time, more = tonumber(args[position]), nil
    if not time then time, more = marks_of(args[position]) end
    if epoch > 0 then more = with_epoch(more or {}, epoch) end
    if time > ms then ms = time end
    local entry = string.format('%d-%d', ms, id)
    if more then
      redis.call('XADD', keys[1], entry, 'data', args[position + 1], unpack(more))
    else
      redis.call('XADD', keys[1], entry, 'data', args[position + 1])
    end
    position = position + 2
  end
  redis.call('XTRIM', keys[1], 'MAXLEN', '~', args[3])
  local last = first + count - 1
  memory.id, memory.epoch, memory.empty = string.format('%d-%d', ms, last), epoch, nil
  local is_newer = begins or (price_known[2] and tonumber(price_known[2]) < last)
  if not price_known[2] then
    -- A ticker's that names no trade.
    is_newer = is_newer or string.sub(price_known[3] or '', 1, 23) <= string.sub(args[6], 1, 23)
  end
  if price_known[1] and is_newer then
    redis.call('HSET', keys[2], 'price', args[5], 'timestamp', args[6], 'trade_id', string.format('%d', last))
  end
  return {'OK', last, count - skip, bridged, unpack(foreign)}
end

-- Beside the key of a kline stands where its record is from ('<source> <rules>'), unless it is from the stream and no
-- rule marks it: the key itself holds the record and nothing else.
local function put_origin(key, origin, life)
  if origin == '' then redis.call('DEL', key) else redis.call('SET', key, origin, 'EX', life) end
end

-- Whether klines stand at the end of a stream.
local function holds_klines(stream)
  for _, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', KLINES_LOOKED_AT)) do
    if string.find(field_of(entry[2], 'data') or '', '"is_closed":', 1, true) then return true end
  end
  return false
end

-- When the closed kline of an interval opened that an entry holds, in ms; nil for another entry.
local function closed_open(entry, interval)
  local data = field_of(entry[2], 'data') or ''
  if not string.find(data, '"interval":"' .. interval .. '"', 1, true) then return nil end
  if not string.find(data, '"is_closed":true', 1, true) then return nil end
  local year, month, day, hour, minute, second = string.match(data, '"timestamp":"(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)')
  if not year then return nil end
  -- Days since 1970 of the calendar in which a year begins in March.
  year, month = tonumber(year), tonumber(month)
  if month <= 2 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  days = days + math.floor((153 * month - 457) / 5) + tonumber(day) - 719469
  return ((days * 24 + tonumber(hour)) * 60 + tonumber(minute)) * 60000 + tonumber(second) * 1000
end

-- Whether the kline that a key holds is closed; nil without one. Raises WRONGTYPE when it holds something else.
local function closed_in(key)
  if not exists(key, 'string') then return nil end
  local readable, kline = pcall(cjson.decode, redis.call('GET', key))
  if not readable or type(kline) ~= 'table' then error({err = 'WRONGTYPE ' .. key .. ' holds no kline'}) end
  return kline.is_closed == true
end

-- The first closed kline behind an entry of a stream, which our functions wrote last: somebody else's.
local function foreign_close(stream, entry)
  local from, left = '(' .. entry, OTHERS_LOOKED_AT
  while left > 0 do
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', PAGE)
    for _, each in ipairs(entries) do
      if string.find(field_of(each[2], 'data') or '', '"is_closed":true', 1, true) then return each[1] end
      from = '(' .. each[1]
    end
    left = #entries < PAGE and 0 or left - PAGE
  end
end

-- When the newest closed kline of an interval opened that stands near the end of a stream; nil without one.
local function newest_close(stream, interval)
  local to, left = '+', CLOSED_LOOKED_AT
  while left > 0 do
    local entries = redis.call('XREVRANGE', stream, to, '-', 'COUNT', PAGE)
    for _, entry in ipairs(entries) do
      local open = closed_open(entry, interval)
      if open then return open end
      to = '(' .. entry[1]
    end
    left = #entries < PAGE and 0 or left - PAGE
  end
end

-- Whether a stream holds a closed kline of an interval that is due, or a later one: as far as we know which one we
-- wrote last, or near the end.
local function holds_due(stream, interval, due_open, is_searched)
  local newest = closed_ones[stream] and closed_ones[stream][interval]
  if newest and newest.open >= due_open then
    local entry = redis.call('XRANGE', stream, newest.id, newest.id)[1]
    if entry and (closed_open(entry, interval) or -1) >= due_open then return true end
  end
  return is_searched and (newest_close(stream, interval) or -2) >= due_open
end

-- Whether the closed kline right before the due one was never written: the state is ahead of the stream.
local function lacks_last(stream, key, interval, open)
  local newest = closed_ones[stream] and closed_ones[stream][interval]
  if newest and newest.open >= open or redis.call('TYPE', key).ok ~= 'none' and closed_in(key) then return false end
  local last = newest_close(stream, interval)
  return last ~= nil and last < open
end

-- Whether more is due than follows the closed kline that we wrote last, and nobody wrote another one.
local function skips_some(stream, interval, due_open)
  local newest = closed_ones[stream] and closed_ones[stream][interval]
  if not newest or newest.due >= due_open then return false end
  local last = newest_close(stream, interval)
  return last ~= nil and last <= newest.open
end

-- keys: kline stream, state hash, gaps stream, then the kline key of each record, then the origin key of each
-- args: maxlen, maxlen of the side streams, count, then of each record: interval, open time, next open time, event
--       time, '1' when closed, time to live in s, first open time that its gaps explain, gaps, '1' when it may begin a
--       series, JSON, its origin, how many words follow and the words: names and values of further fields in turn.
-- The state of an interval is: the open time that must close next (-1 before the first close), open time and event
-- time of the newest update. The field `entry` is the id of the newest entry of the stream: a stream that does not
-- reach it was lost, and what the state says with it. A hole is bridged by gaps that begin where it does.
-- Returns for each record 1 (stored), 2 (stored, and a hole before it bridged), 3 (stored, an open one, and more than the
-- one before it has not closed), 0 (known or older), -1 (the state of
-- its interval is none of ours: it reads as no state, or names a time that has not come), or as text the open time that
-- is missing, -1 when the store has nothing of the series.
local function append_klines(keys, args)
  exists(keys[2], 'hash')
  local last_ms, last_number = tail_of(keys[1])
  local entry, is_known = redis.call('HGET', keys[2], 'entry'), true
  if entry then
    local ms, number = id_of(entry)
    if not ms then error({err = 'WRONGTYPE ' .. keys[2] .. ' names no entry'}) end
    is_known = last_ms and (last_ms > ms or last_ms == ms and last_number >= number)
    local stranger = is_known and (last_ms > ms or last_number > number) and foreign_close(keys[1], entry)
    if stranger then error({err = 'WRONGTYPE ' .. keys[1] .. " holds somebody else's kline " .. stranger}) end
  elseif last_ms then
    is_known = redis.call('HGET', keys[2], args[4])
  end
  if not is_known then
    -- What is there would be written again behind itself.
    if last_ms and holds_klines(keys[1]) then
      error({err = string.format('WRONGTYPE %s holds klines of which %s does not know', keys[1], keys[2])})
    end
    redis.call('DEL', keys[2])
  end
  local outcome, blocked, position, added = {}, {}, 4, nil
  for i = 1, tonumber(args[3]) do
    local interval, open, next_open, event = args[position], tonumber(args[position + 1]), args[position + 2],
        tonumber(args[position + 3])
    local closed, begins = args[position + 4] == '1', args[position + 8] == '1'
    local words = tonumber(args[position + 11])
    local state = redis.call('HGET', keys[2], interval) or '-1 -1 -1'
    local due, newest, newest_event = string.match(state, '^(%-?%d+) (%-?%d+) (%-?%d+)$')
    local due_open = number_of(due)
    newest, newest_event = number_of(newest), number_of(newest_event)
    local is_ours = due_open and newest and newest_event
    -- Klines of an interval open a whole number of it apart, or of days where it is longer.
    if is_ours and due_open >= 0 then
      local step = math.min(tonumber(next_open) - open, DAY_MS)
      is_ours = due_open >= EARLIEST_MS and (open - due_open) % step == 0
    end
    -- What runs now tells the time, and nothing is due before it opens.
    if is_ours and not closed then is_ours = math.max(due_open, newest) <= math.max(open, event) + AHEAD_MS end
    local newer = is_ours and (open > newest or open == newest and event > newest_event)
    local old = is_ours and (open < due_open or not closed and not newer)
    local hole = is_ours and closed and due_open >= 0 and open > due_open
    local nothing = is_ours and closed and due_open < 0 and not begins
    -- The state is held against what was stored, also what is far back where the series begins, or behind a hole.
    if is_ours and closed and last_ms and not nothing then
      is_ours = not holds_due(keys[1], interval, due_open, due_open < 0 or hole)
    end
    if is_ours and closed and old and tonumber(next_open) == due_open then
      is_ours = not lacks_last(keys[1], keys[3 + i], interval, open)
    elseif is_ours and closed and open == due_open then
      is_ours = not skips_some(keys[1], interval, due_open)
    end
    if not is_ours then
      outcome[i] = -1
    elseif blocked[interval] or nothing or hole and not old and args[position + 6] ~= due then
      outcome[i] = due
      blocked[interval] = true
    elseif old then
      outcome[i] = 0
    else
      if hole then
        tail_of(keys[3])
        add_gaps(keys[3], args[position + 7], args[2], 0)
      end
      added = redis.call('XADD', keys[1], '*', 'data', args[position + 9],
        unpack(args, position + 12, position + 11 + words))
      redis.call('SET', keys[3 + i], args[position + 9], 'EX', args[position + 5])
      if closed or args[position + 10] ~= '' then
        put_origin(keys[3 + args[3] + i], args[position + 10], args[position + 5])
      end
      if closed then
        closed_ones[keys[1]] = closed_ones[keys[1]] or {}
        closed_ones[keys[1]][interval] = {open = open, due = tonumber(next_open), id = added}
      end
      if newer then newest, newest_event = open, event end
      redis.call('HSET', keys[2], interval,
        string.format('%s %d %d', closed and next_open or due, newest, newest_event))
      local is_behind = not closed and due_open >= 0 and 2 * due_open < 5 * open - 3 * next_open
      outcome[i] = is_behind and 3 or hole and 2 or 1
    end
    position = position + 12 + words
  end
  if added then redis.call('HSET', keys[2], 'entry', added) end
  redis.call('XTRIM', keys[1], 'MAXLEN', '~', args[1])
  return outcome
end

-- Fields and values in turn, from a position of the arguments on; a field with an empty value goes.
local function put_fields(key, args, position)
  local empty = {}
  for i = position, #args, 2 do
    if args[i + 1] == '' then empty[#empty + 1] = args[i] end
  end
  redis.call('HSET', key, unpack(args, position))
  if empty[1] then redis.call('HDEL', key, unpack(empty)) end
end

-- keys: kline key, origin key
-- args: JSON, time to live in s, its origin, '1' to write only where nothing is
-- A closed kline whose place in the stream is past.
local function put_kline(keys, args)
  local condition = args[4] == '1' and { 'NX' } or {}
  if not redis.call('SET', keys[1], args[1], 'EX', args[2], unpack(condition)) then return 0 end
  put_origin(keys[2], args[3], args[2])
  return 1
end

-- keys: latest hash
-- args: event time, last trade id (-1 when the window has no trade, '' when the exchange tells none), price ('' when
--       there is none), time text of the price, warnings, then field and value of each statistic, '' for what there is
--       not.
-- An older ticker changes nothing, and the price stays that of a newer trade: of one without a trade the price is from
-- before its window. Ids below those of the ticker before have begun anew. Where no id is told the time decides, and
-- the price is no trade's then: there is no `trade_id`. Returns 1 (stored) or 0 (older).
local function put_ticker(keys, args)
  exists(keys[1], 'hash')
  local known, id = redis.call('HMGET', keys[1], 'event_ms', 'trade_id', 'timestamp', 'last_id'), tonumber(args[2])
  if known[1] and not number_of(known[1]) or known[2] and not number_of(known[2]) then
    error({err = 'WRONGTYPE ' .. keys[1] .. ' holds no time or no id'})
  end
  -- Nothing would be newer before that: the price would stand still, and all would seem well.
  local is_anew = id and known[4] and id < (tonumber(known[4]) or -1)
  if known[1] and tonumber(known[1]) > tonumber(args[1]) + TICKERS_AHEAD_MS
      or id and id >= 0 and not is_anew and known[2] and tonumber(known[2]) > id + IDS_AHEAD then
    error({err = 'WRONGTYPE ' .. keys[1] .. ' holds a time or an id that has not come'})
  end
  if known[1] and tonumber(args[1]) <= tonumber(known[1]) then return 0 end
  redis.call('HSET', keys[1], 'event_ms', args[1], 'warnings', args[5])
  put_fields(keys[1], args, 6)
  local is_newer = not id or not known[2] or id >= tonumber(known[2]) or id < (tonumber(known[4] or -1) or -1)
  if (not id or id < 0) and known[3] then is_newer = string.sub(known[3], 1, 23) < args[4] end
  if is_newer and args[3] ~= '' then
    redis.call('HSET', keys[1], 'price', args[3], 'timestamp', args[4])
    if not id then
      redis.call('HDEL', keys[1], 'trade_id')
    else
      redis.call('HSET', keys[1], 'trade_id', id < 0 and known[2] or args[2])
    end
  end
  return 1
end

-- keys: quote hash, quotes stream
-- args: update id, maxlen, how many words of further fields follow the JSON, JSON, those words, then field and value of
--       the hash in turn, '' for what there is not.
-- An older quote changes nothing. Returns 1 (stored) or 0 (older).
local function put_quote(keys, args)
  exists(keys[1], 'hash')
  exists(keys[2], 'stream')
  local known, words = redis.call('HGET', keys[1], 'update_id'), tonumber(args[3])
  if known and not number_of(known) then error({err = 'WRONGTYPE ' .. keys[1] .. ' holds no number as update_id'}) end
  if known and tonumber(args[1]) <= tonumber(known) then return 0 end
  redis.call('XADD', keys[2], 'MAXLEN', '~', args[2], '*', 'data', args[4], unpack(args, 5, 4 + words))
  put_fields(keys[1], args, 5 + words)
  return 1
end

-- keys: marker, then the stream of each entry
-- args: maxlen, number of the first entry (numbers rise by one per writer), count, life of the marker in s, '1' to go on
--       over missing numbers, then of each entry how many words follow and the words: field and value in turn.
-- The marker holds the writer's last number: what is resent is not added again. Missing numbers are refused, because
-- an earlier call of the same batch may have failed. A stream that takes no entries is passed over.
-- Returns {'OK', how many were added, the key of such a stream or ''}, or {'GAP'}.
local function append_once(keys, args)
  local first, count = tonumber(args[2]), tonumber(args[3])
  local last = exists(keys[1], 'string') and number_of(redis.call('GET', keys[1]))
  -- Our own numbers are no further on than what waits of ours.
  if not last or last > first + NUMBERS_MAX then last = first - 1 end
  if first > last + 1 and args[5] ~= '1' then return {'GAP'} end
  local position, added, foreign = 6, 0, ''
  for i = 1, count do
    local words, stream = tonumber(args[position]), keys[1 + i]
    if first + i - 1 > last then
      if takes_entries(stream) then
        redis.call('XADD', stream, 'MAXLEN', '~', args[1], '*', unpack(args, position + 1, position + words))
        added = added + 1
      else
        foreign = stream
      end
    end
    position = position + 1 + words
  end
  if first + count - 1 > last then
    redis.call('SET', keys[1], string.format('%d', first + count - 1), 'EX', args[4])
  end
  return {'OK', added, foreign}
end

-- keys: quarantine stream, late stream, then, of a kline, its key and its origin's
-- args: id of the quarantine entry, maxlen of the side streams, rules that the record is marked with, then, of a kline,
--       '1' when closed, time to live in s.
-- Moves a record out of quarantine, once: without the entry nothing happens. The text is taken from the entry as it is.
-- A closed kline goes into its key too, unless a closed one is there, which is newer; an open one only where nothing is.
-- Returns 'gone', 'late', 'newer_kept' (in late, and the key stays as it is), 'known' (the key holds this very record,
-- so late or the stream had it: another collector's copy), 'open_key' or 'superseded'.
local function replay(keys, args)
  if not exists(keys[1], 'stream') then return 'gone' end
  exists(keys[2], 'stream')
  local entry = redis.call('XRANGE', keys[1], args[1], args[1])[1]
  if not entry then return 'gone' end
  local given = {}
  for i = 1, #entry[2], 2 do given[entry[2][i]] = entry[2][i + 1] end
  local outcome, present, writes_key = 'late', nil, false
  if keys[3] then
    present = closed_in(keys[3])
    writes_key = present == nil or args[4] == '1' and not present
    if args[4] ~= '1' then
      outcome = writes_key and 'open_key' or 'superseded'
    elseif present then
      outcome = redis.call('GET', keys[3]) == given.data and 'known' or 'newer_kept'
    end
  end
  if outcome == 'late' or outcome == 'newer_kept' then
    local more = {}
    if args[3] ~= '' then more = {'warnings', args[3]} end
    for _, name in ipairs({'src', 'epoch'}) do
      if given[name] then
        more[#more + 1] = name
        more[#more + 1] = given[name]
      end
    end
    redis.call('XADD', keys[2], 'MAXLEN', '~', args[2], '*', 'data', given.data, 'why', 'replayed', unpack(more))
  end
  if writes_key then
    redis.call('SET', keys[3], given.data, 'EX', args[5])
    local is_ordinary = args[3] == '' and not given.src
    put_origin(keys[4], is_ordinary and '' or (given.src or 'ws') .. ' ' .. args[3], args[5])
  end
  redis.call('XDEL', keys[1], args[1])
  return outcome
end

-- What the functions and the sink do, one command a line; the word that ends in a colon is the beginning of the key.
local NEEDED = {collector = [[
TYPE trades:
XINFO STREAM trades:
XREVRANGE trades: + -
XADD trades: * data x
XTRIM trades: MAXLEN 1
XSETID trades: 0-1
TYPE latest:
HMGET latest: volume
HSET latest: volume 1
HDEL latest: volume
TYPE stream:
XINFO STREAM stream:
XRANGE stream: - +
XREVRANGE stream: + -
XADD stream: * data x
XTRIM stream: MAXLEN 1
TYPE collector:
HGET collector: 1m
HSET collector: 1m x
HMGET collector: 1m
DEL collector:
GET collector:
SET collector: x
TYPE kline:
GET kline:
SET kline: x EX 1
TYPE gaps:
XINFO STREAM gaps:
XREVRANGE gaps: + -
XADD gaps: * data x
TYPE quarantine:
XINFO STREAM quarantine:
XADD quarantine: * data x
TYPE late:
XINFO STREAM late:
XADD late: * data x
]], quote = [[
TYPE quote:
HGET quote: update_id
HSET quote: bid 1
TYPE quotes:
XADD quotes: * data x
]], replay = [[
TYPE quarantine:
XRANGE quarantine: - +
XDEL quarantine: 0-1
TYPE late:
XADD late: * data x
TYPE kline:
GET kline:
SET kline: x EX 1
SET collector: x EX 1
DEL collector:
]]}

-- args: what every key begins with, and for what ('collector', beside it a channel that has a group of its own where it
--       is collected, 'replay')
-- A right that is missing would show itself in the midst of a function, after its first write. Returns the commands
-- that the caller may not give, each with its kind of key.
local function missing_rights(keys, args)
  local missing = {}
  for line in string.gmatch(NEEDED[args[2]], '[^\n]+') do
    local words = {}
    for word in string.gmatch(line, '%S+') do
      words[#words + 1] = string.sub(word, -1) == ':' and args[1] .. word or word
    end
    if not redis.acl_check_cmd(unpack(words)) then missing[#missing + 1] = string.match(line, '^.-:') end
  end
  return missing
end

redis.register_function{
  function_name = 'missing_rights_@DIGEST@', callback = missing_rights, flags = {'no-writes'}
}
redis.register_function{function_name = 'trades_end_@DIGEST@', callback = trades_end, flags = {'no-writes'}}
redis.register_function('append_trades_@DIGEST@', append_trades)
redis.register_function('append_klines_@DIGEST@', append_klines)
redis.register_function('put_kline_@DIGEST@', put_kline)
redis.register_function('put_ticker_@DIGEST@', put_ticker)
redis.register_function('put_quote_@DIGEST@', put_quote)
redis.register_function('append_once_@DIGEST@', append_once)
redis.register_function('replay_@DIGEST@', replay)
