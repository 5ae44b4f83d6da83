/** What the figures mean for a machine to be chosen. */
import { number } from "./harness/text.mjs";

const DAY_SECONDS = 86_400;
const EXAMPLE_PROCESSES = 100;
const DEFAULT_STALENESS_MS = 250;
const MIB = 1024 * 1024;

export function sizing({ memory, cpu }) {
  const { bodyBytes, responseBytes, recordBytes, logRecords, logBytes, readsPerSecond, idleReadsPerSecond } = memory;
  const overheadBytes = responseBytes - bodyBytes;
  const perMillion = Math.round((responseBytes * 1e6) / MIB);
  const reads = (EXAMPLE_PROCESSES * 2 * 1000) / DEFAULT_STALENESS_MS;
  const { redisUs } = cpu.find(({ name }) => name === "hit in Redis");
  return [
    "## Arithmetic for sizing",
    [
      `- **Memory in Redis.** A stored response with a body of ${number(bodyBytes)} bytes takes ${number(responseBytes)} bytes (\`MEMORY USAGE\`): the body and ${number(overheadBytes)} more for key, fields, names and what Redis needs itself. A million of them: ${number(perMillion)} MiB. There is no index beside them. Every entry has an expiry, so any eviction policy is safe; \`volatile-lfu\` never takes the purge log.`,
      `- **Purge log.** ${number(recordBytes)} bytes for a purge of one tag; full, with ${number(logRecords)}: ${number(logBytes / MIB, 2)} MiB. Whoever has seen every purge needs no old records. A process that starts, or was cut off for longer than the log reaches back, takes what is older than the log for purged and asks for it anew. To spare it that, the log must hold what is purged during a lifetime: purges per second × lifetime in seconds. Each unsafe request that succeeds on a cached route or through the proxy is such a purge too (RFC 9111 §4.4) and counts like a call of \`purge()\`: at 1,000 writes a second ${number(logRecords)} records last ${number(logRecords / 1000)} s. And each record makes the next look-up of every process read the log, a second round trip. The default of ${number(logRecords)} is enough for ${number(logRecords / 3600, 1)} purges a second with lifetimes of an hour, or one in ${number(DAY_SECONDS / logRecords, 1)} seconds with lifetimes of a day. A log of 1,000,000 takes about ${number((recordBytes * 1e6) / MIB)} MiB.`,
      `- **Position reads.** A process that serves hits from memory reads the end of the log at most each \`maxStalenessMs\` / 2: processes × 2,000 / \`maxStalenessMs\` a second. Here, one process: ${number(readsPerSecond, 1)} a second while it served hits without a pause, ${number(idleReadsPerSecond, 1)} while it served none. ${number(EXAMPLE_PROCESSES)} processes with the default of ${DEFAULT_STALENESS_MS} ms: at most ${number(reads)} a second, whatever the number of requests.`,
      `- **Redis.** ${number(redisUs)} µs of its one core for a hit of 1 KiB, connections and replies included: about ${number(Math.floor(1e6 / Math.max(1, redisUs) / 1000) * 1000)} hits a second would fill it. That is a projection from CPU time, not a rate that was measured.`,
    ].join("\n"),
  ];
}
