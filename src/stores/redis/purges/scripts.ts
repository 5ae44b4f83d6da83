/**
 * The purge log in Redis, one per prefix:
 *
 *     <prefix>:1:{<prefix>}:log    a stream of purges, the last some thousand
 *     <prefix>:1:{<prefix>}:pos    its end: <epoch>:<id of the last record>:<records ever written>:<run of the server>
 *
 * Both are on one Cluster slot and have no expiry. Redis may evict them nevertheless: that is noticed, and the log begins
 * anew under another epoch, which purges all entries. So it does when the server was started after the last record: what
 * it has is a snapshot, and purges that came after that are not in it.
 *
 * A record has `n`, its number, and either `g`, the epoch that begins with it, or `m`, `h` for hard or `s` for soft, and
 * `t`, its targets as a JSON list.
 */

import type { LogEnd, LogRecord, LogView } from "./timeline.ts";
import { parseLogEnd, recordPosition } from "./timeline.ts";
import { EVERYTHING } from "../../purging/targets.ts";
import { redisScript, type RedisScript } from "../client/port.ts";

/** Most records read in one step. */
export const RECORDS_PER_VIEW = 1000;
/** Bytes of targets after which a step ends: it must fit into the deadline of a look-up, on a slow network too. */
export const BYTES_PER_VIEW: number = 64 * 1024;

/**
 * `endOfLog()`: what is under the position key, but nothing when the server that has it was started after its last record.
 * A replica that took over was mostly running then, so its log goes on. One that was started after the last record has that
 * record as well, but looks like a server that was restored: the log begins anew, which is safe, and everything is a miss
 * once. Where INFO is not permitted the log is taken as it is. Redis tells its start in whole seconds: the end of that
 * second counts.
 */
const READING = `
local run, startedMs = '', 0
local info = redis.pcall('INFO', 'server')
if type(info) == 'string' then
  run = string.sub(string.match(info, 'run_id:(%w+)') or '', 1, 8)
  startedMs = (redis.call('TIME')[1] - (string.match(info, 'uptime_in_seconds:(%d+)') or 0) + 1) * 1000
end
local function endOfLog()
  local pos = redis.call('GET', KEYS[1]) or ''
  local lastMs, writtenIn = string.match(pos, '^%w+:(%d+)%-%d+:%d+:(%w+)$')
  if lastMs and run ~= '' and writtenIn ~= run and tonumber(lastMs) < startedMs then return '' end
  return pos
end
`;

/**
 * The end; the records from ARGV[2] on if the epoch is still ARGV[1] or else from the first, about ARGV[3] of them or
 * ARGV[4] bytes; the time of the server; and whether these are all.
 */
export const VIEW: RedisScript = redisScript(`${READING}
local pos = endOfLog()
local from = '-'
if string.match(pos, '^(%w+):') == ARGV[1] then from = ARGV[2] end
local records, bytes, isWhole = {}, 0, 0
repeat
  local part = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 16)
  for _, record in ipairs(part) do
    records[#records + 1] = record
    from = '(' .. record[1]
    for _, text in ipairs(record[2]) do bytes = bytes + #text end
  end
  if #part < 16 then isWhole = 1 end
until isWhole == 1 or #records >= tonumber(ARGV[3]) or bytes >= tonumber(ARGV[4])
return {pos, records, redis.call('TIME'), isWhole}`);

/**
 * Ids come from the server's clock and never go back with it, nor past 2047 in a millisecond: readers make numbers of them.
 */
const WRITING = `${READING}
local epoch, ms, seq, n
local function append(...)
  local clock = redis.call('TIME')
  local nowMs = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
  if nowMs > ms then ms, seq = nowMs, 0 elseif seq < 2047 then seq = seq + 1 else ms, seq = ms + 1, 0 end
  n = n + 1
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], string.format('%.0f-%.0f', ms, seq), 'n', string.format('%.0f', n), ...)
end
local function theEnd()
  return string.format('%s:%.0f-%.0f:%.0f', epoch, ms, seq, n) .. (run == '' and '' or ':' .. run)
end
local function begin()
  redis.call('DEL', KEYS[2])
  epoch, ms, seq, n = ARGV[2], 0, 0, 0
  append('g', epoch)
end
local pos = endOfLog()
`;

/** Appends a record for each pair of mode and targets from ARGV[3] on, in a new epoch ARGV[2] if the log is not there. */
export const PURGE: RedisScript = redisScript(`${WRITING}
epoch, ms, seq, n = string.match(pos, '^(%w+):(%d+)%-(%d+):(%d+)')
if epoch and redis.call('EXISTS', KEYS[2]) == 1 then
  ms, seq, n = tonumber(ms), tonumber(seq), tonumber(n)
else
  begin()
end
local before = theEnd()
for i = 3, #ARGV, 2 do append('m', ARGV[i], 't', ARGV[i + 1]) end
redis.call('SET', KEYS[1], theEnd())
return {before, theEnd()}`);

/** Begins a new log under the epoch ARGV[2], unless the end is no longer ARGV[3]: then another process has begun one. */
export const RESTART: RedisScript = redisScript(`${WRITING}
if pos ~= ARGV[3] then return 0 end
begin()
redis.call('SET', KEYS[1], theEnd())
return 1`);

/** Targets of one purge, and how. */
export interface Purge {
  readonly soft: boolean;
  readonly targets: readonly string[];
}

/** Most targets in one record, and characters about, so that a reading stays small. */
const TARGETS_PER_RECORD = 200;
const CHARACTERS_PER_RECORD = 4000;

/** The arguments of PURGE from the third on. */
export function recordArguments(purges: readonly Purge[]): readonly string[] {
  const args: string[] = [];
  for (const { soft, targets } of purges) {
    for (const part of recordsOf(targets)) args.push(soft ? "s" : "h", JSON.stringify(part));
  }
  return args;
}

function recordsOf(targets: readonly string[]): readonly (readonly string[])[] {
  const records: string[][] = [];
  let room = 0;
  for (const target of targets) {
    const record = records.at(-1);
    room -= target.length;
    if (record === undefined || room < 0 || record.length === TARGETS_PER_RECORD) {
      records.push([target]);
      room = CHARACTERS_PER_RECORD - target.length;
    } else {
      record.push(target);
    }
  }
  return records;
}

/** The parsed reply of VIEW; undefined when it is malformed. */
export function parseView(
  reply: unknown,
): { readonly view: LogView; readonly endText: string; readonly redisMs: number } | undefined {
  if (!Array.isArray(reply) || !Array.isArray(reply[1]) || !Array.isArray(reply[2])) return undefined;
  const endText = textOf(reply[0]);
  const [seconds, microseconds] = (reply[2] as unknown[]).map((part) => Number(textOf(part)));
  const redisMs = (seconds ?? Number.NaN) * 1000 + (microseconds ?? Number.NaN) / 1000;
  if (endText === undefined || !Number.isFinite(redisMs)) return undefined;
  const items: readonly unknown[] = reply[1];
  const isWhole = Number(reply[3]) === 1;
  return { view: { end: parseLogEnd(endText), records: parseRecords(items), isWhole }, endText, redisMs };
}

/** The parsed reply of PURGE; undefined when it is malformed. */
export function parsePurged(reply: unknown): { readonly before: LogEnd; readonly after: LogEnd } | undefined {
  if (!Array.isArray(reply)) return undefined;
  const [before, after] = reply.map((part) => parseLogEnd(textOf(part) ?? ""));
  return before === undefined || after === undefined ? undefined : { before, after };
}

function parseRecords(items: readonly unknown[]): readonly LogRecord[] | undefined {
  const records: LogRecord[] = [];
  for (const item of items) {
    const record = parseRecord(item);
    if (record === undefined) return undefined;
    records.push(record);
  }
  return records;
}

function parseRecord(item: unknown): LogRecord | undefined {
  if (!Array.isArray(item) || !Array.isArray(item[1])) return undefined;
  const texts = (item[1] as unknown[]).map(textOf);
  const field = (name: string): string | undefined => {
    const at = texts.indexOf(name);
    return at % 2 === 0 ? texts[at + 1] : undefined;
  };
  const position = recordPosition(textOf(item[0]) ?? "");
  const count = Number(field("n"));
  if (Number.isNaN(position) || !Number.isSafeInteger(count) || count < 1) return undefined;
  if (texts[2] === "g") return { position, count, soft: false, targets: [] };
  return { position, count, soft: field("m") === "s", targets: parseTargets(field("t")) };
}

/** A record whose targets cannot be read may have purged anything. */
const UNKNOWN_TARGETS = [EVERYTHING];

function parseTargets(text: string | undefined): readonly string[] {
  try {
    const value: unknown = JSON.parse(text ?? "");
    if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
    return UNKNOWN_TARGETS;
  } catch {
    return UNKNOWN_TARGETS;
  }
}

function textOf(part: unknown): string | undefined {
  if (typeof part === "string") return part;
  if (!(part instanceof Uint8Array)) return undefined;
  return Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString("utf8");
}
