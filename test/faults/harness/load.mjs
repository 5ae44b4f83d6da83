/**
 * Open-loop load: requests are sent when they are due, whether or not earlier ones were answered, and latency counts from
 * when they were due. So a stall is felt by all who would have come meanwhile.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";

import { ask, connections } from "./request.mjs";

const KEYS = 40;
/** Requests so near to each other count as sent at the same time. */
const NEIGHBOUR_MS = 10;

/** What is asked, in turn: a fifth without a cache, the control of the same second in the same process. */
export const MIX = [
  { kind: "plain", path: (at) => `/plain/${at % KEYS}?bytes=500` },
  { kind: "fresh", path: (at) => `/fresh/${at % KEYS}?bytes=500` },
  { kind: "stale", path: (at) => `/stale/${at % KEYS}?bytes=500` },
  { kind: "fresh", path: (at) => `/fresh/${(at * 7) % KEYS}?bytes=500` },
  { kind: "miss", path: (at, run) => `/fresh/${run}-${at}?bytes=500` },
];

let runs = 0;

/** Sends `ratePerSecond` requests for `seconds`, to the applications in turn; an array of answers, each with its kind. */
export async function openLoad({ applications, seconds, ratePerSecond = 150, mix = MIX, signal }) {
  const run = (runs += 1);
  const agent = connections();
  const total = Math.round(seconds * ratePerSecond);
  const lag = monitorEventLoopDelay({ resolution: 5 });
  await Promise.all(applications.map(({ tell }) => tell("lag")));
  lag.enable();
  const startMs = performance.now();
  const underWay = [];
  let sent = 0;
  const isOver = () => sent >= total || signal?.aborted === true;
  while (!isOver()) {
    const elapsedMs = performance.now() - startMs;
    const due = Math.min(total, Math.floor((elapsedMs / 1000) * ratePerSecond) + 1);
    for (; sent < due; sent += 1) {
      const { kind, path } = mix[sent % mix.length];
      const { port } = applications[Math.floor(sent / mix.length) % applications.length];
      underWay.push(timed(ask(port, path(sent, run), { agent }), kind, startMs + (sent * 1000) / ratePerSecond));
    }
    await pause(Math.max(1, startMs + (sent * 1000) / ratePerSecond - performance.now()));
  }
  const answers = await Promise.all(underWay);
  lag.disable();
  agent.destroy();
  const lags = await Promise.all(
    applications.filter(({ isRunning }) => isRunning()).map(({ tell }) => tell("lag").catch(() => 0)),
  );
  return { answers, lagMs: Math.max(lag.max / 1e6, ...lags) };
}

async function timed(answering, kind, dueMs) {
  const answer = await answering;
  return { ...answer, kind, dueMs, ms: answer.startMs + answer.ms - dueMs };
}

/** Everything a phase of a row tells: counts, latencies, and how much more the cached requests took than the plain ones. */
export function summary({ answers, lagMs }, { fromMs = 0, kinds } = {}) {
  const counted = answers.filter(({ dueMs, kind }) => dueMs >= fromMs && (kinds === undefined || kinds.includes(kind)));
  const plainAnswers = answers.filter(({ kind }) => kind === "plain");
  const plain = plainAnswers.filter(({ dueMs }) => dueMs >= fromMs).map(({ ms }) => ms);
  const cached = counted.filter(({ kind }) => kind !== "plain");
  const times = cached.map(({ ms }) => ms);
  const problems = answers.filter(({ problem }) => problem !== undefined);
  return {
    requests: answers.length,
    problems,
    lagMs,
    hitRatio: (kind) => {
      const ofKind = counted.filter((answer) => answer.kind === kind);
      return ofKind.length === 0 ? 0 : ofKind.filter(({ isHit }) => isHit).length / ofKind.length;
    },
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    maxMs: percentile(times, 1),
    addedP50Ms: percentile(times, 0.5) - percentile(plain, 0.5),
    addedP99Ms: percentile(times, 0.99) - percentile(plain, 0.99),
    addedMaxMs: Math.max(0, ...cached.map((answer) => answer.ms - controlMs(answer, plainAnswers))),
  };
}

/** The slowest request without a cache that was under way at the same time: what held it up held up the other as well. */
function controlMs({ dueMs, ms }, plainAnswers) {
  const untilMs = dueMs + ms;
  let slowestMs = 0;
  for (const plain of plainAnswers) {
    const isAtTheSameTime = plain.dueMs < untilMs + NEIGHBOUR_MS && plain.dueMs + plain.ms > dueMs - NEIGHBOUR_MS;
    if (isAtTheSameTime) slowestMs = Math.max(slowestMs, plain.ms);
  }
  return slowestMs;
}

export function percentile(values, share) {
  if (values.length === 0) return 0;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}
