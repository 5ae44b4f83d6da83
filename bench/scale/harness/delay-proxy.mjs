/** A TCP proxy that makes each round trip longer by a fraction of a millisecond or more, and knows by how much it did. */
import { connect, createServer } from "node:net";

/** Timers are late by a millisecond or two; the rest of the time is waited for by looking at the clock. */
const TIMER_ERROR_MS = 3;

export async function withDelayProxy(targetPort, use) {
  const proxy = { delayMs: 0, addedMs: [] };
  const sockets = new Set();
  const server = createServer((client) => {
    const upstream = connect({ port: targetPort, host: "127.0.0.1" });
    const close = () => [client, upstream].forEach((socket) => socket.destroy());
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true).on("error", close).on("close", close);
    }
    client.on("data", (bytes) => upstream.write(bytes));
    const passOn = replies(client, proxy);
    upstream.on("data", passOn);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use({ proxy, url: `redis://127.0.0.1:${server.address().port}` });
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** Passes on replies in their order, each so much later. */
function replies(client, proxy) {
  const waiting = [];
  let isWaiting = false;
  const deliver = () => {
    isWaiting = false;
    while (waiting.length > 0 && waiting[0].dueMs <= performance.now()) {
      const { bytes, atMs } = waiting.shift();
      client.write(bytes);
      proxy.addedMs.push(performance.now() - atMs);
    }
    if (waiting.length > 0) wait();
  };
  const wait = () => {
    if (isWaiting) return;
    isWaiting = true;
    const leftMs = waiting[0].dueMs - performance.now();
    if (leftMs > TIMER_ERROR_MS) setTimeout(deliver, leftMs - TIMER_ERROR_MS);
    else setImmediate(deliver);
  };
  return (bytes) => {
    const atMs = performance.now();
    if (proxy.delayMs === 0) {
      client.write(bytes);
      return;
    }
    waiting.push({ bytes, atMs, dueMs: atMs + proxy.delayMs });
    wait();
  };
}
