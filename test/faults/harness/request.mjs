/** One request, and everything about its answer that may be wrong. */
import { Agent, request as httpRequest } from "node:http";

import { readBody } from "./body.mjs";

/** No answer within this is an error of the cache: no handler here takes that long by itself. */
const ANSWERED_WITHIN_MS = 15_000;
/** One name for all processes, as behind a load balancer: it is part of the key. */
export const HEADERS = { host: "application.test" };

/** Connections that are kept. Any number of them: a load must not wait for a connection. */
export function connections() {
  return new Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 4096, scheduling: "lifo" });
}

/**
 * Never rejects. `problem` is set when the client got anything but a complete answer of the handler to this request;
 * `isHit` when it came from the cache.
 */
export function ask(port, path, { agent, expectStatus = 200 } = {}) {
  const startMs = performance.now();
  return new Promise((resolve) => {
    const settle = (answer) => {
      clearTimeout(timer);
      resolve({ path, port, startMs, ms: performance.now() - startMs, ...answer });
    };
    const message = httpRequest({ host: "127.0.0.1", port, path, agent, headers: HEADERS }, (response) => {
      const { statusCode: status, headers } = response;
      const isHit = headers["x-reprise-cache"] === "Hit";
      const told = {
        status,
        isHit,
        cacheStatus: headers["cache-status"],
        ageSeconds: Number(headers.age ?? Number.NaN),
      };
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("error", (error) => settle({ problem: `broken off: ${error.message}`, ...told }));
      response.on("end", () => {
        const text = Buffer.concat(pieces).toString();
        if (status !== expectStatus) {
          return settle({ problem: `status ${status}: ${text.slice(0, 80)}`, ...told });
        }
        const read = status === 200 ? readBody(path, text) : { content: text };
        const problem = headers["x-handler"] === "1" ? read.problem : "not from the handler";
        settle({ ...told, content: read.content, ...(problem === undefined ? {} : { problem }) });
      });
    });
    const timer = setTimeout(() => {
      settle({ problem: `no answer within ${ANSWERED_WITHIN_MS} ms` });
      message.destroy();
    }, ANSWERED_WITHIN_MS);
    message.on("error", (error) => settle({ problem: `no connection: ${error.message}` }));
    message.end();
  });
}
