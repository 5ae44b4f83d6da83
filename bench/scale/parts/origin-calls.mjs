/** 3. How often the origin is asked when many processes miss the same key at once. */
import { round, sum } from "../harness/figures.mjs";
import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

export const PROCESSES = [1, 2, 4, 8];
export const REQUESTS_PER_PROCESS = 1000;
/** Longer than the requests take to come, so that all of them wait at the same time. */
export const ORIGIN_MS = 2500;
export const WITHIN_MS = 1500;
const WARM_REQUESTS = 200;
/** For all processes to be told before any begins. */
const HEAD_START_MS = 200;

/** `withinMs` 0: all at one instant. */
export async function measureOriginCalls(subject, processes = PROCESSES, withinMs = WITHIN_MS) {
  const rows = [];
  for (const count of processes) rows.push(await withRedis(({ url }) => stampede(subject, url, count, withinMs)));
  return rows;
}

function stampede(subject, url, processes, withinMs) {
  const settings = Array.from({ length: processes }, () => ({ subject, url, originMs: ORIGIN_MS }));
  return withWorkers(settings, async (...workers) => {
    // Compiled code, and connections where requests are made over them: a cold start is not what is asked.
    await together(workers, { path: "/warm/1", count: WARM_REQUESTS, withinMs: WITHIN_MS / 5 });
    const answers = await together(workers, { path: "/hot/1", count: REQUESTS_PER_PROCESS, withinMs });
    const requests = processes * REQUESTS_PER_PROCESS;
    const right = sum(answers.map((answer) => answer.right));
    if (right !== requests) throw new Error(`${subject}: ${requests - right} of ${requests} answers were wrong.`);
    return {
      processes,
      requests,
      originCalls: sum(answers.map(({ originCalls }) => originCalls)),
      slowestMs: round(Math.max(...answers.map(({ slowestMs }) => slowestMs))),
    };
  });
}

function together(workers, request) {
  const atMs = Date.now() + HEAD_START_MS;
  return Promise.all(workers.map((worker) => worker.tell("together", { ...request, atMs })));
}
