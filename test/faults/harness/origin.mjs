/** The origin that all application processes share: it has the versions, and counts who asks. */
import { createServer } from "node:http";

export async function startOrigin() {
  const versions = new Map();
  const calls = new Map();
  let underWay = 0;
  let mostUnderWay = 0;
  let delayMs = () => 0;
  const server = createServer((request, response) => {
    const id = request.url.split("?")[0].split("/")[2];
    calls.set(request.url, (calls.get(request.url) ?? 0) + 1);
    underWay += 1;
    mostUnderWay = Math.max(mostUnderWay, underWay);
    // Read at the beginning, told at the end: a change in between is what makes an answer outdated under way.
    const version = versions.get(id) ?? 0;
    let isLeft = false;
    const leave = () => {
      if (!isLeft) underWay -= 1;
      isLeft = true;
    };
    response.once("close", leave);
    setTimeout(() => {
      leave();
      response.end(String(version));
    }, delayMs(request.url));
  });
  server.keepAliveTimeout = 0;
  await new Promise((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: server.address().port,
    version: (id) => versions.get(String(id)) ?? 0,
    /** A new version of `id`; returns it. */
    change(id) {
      const version = (versions.get(String(id)) ?? 0) + 1;
      versions.set(String(id), version);
      return version;
    },
    setDelay(ms) {
      delayMs = typeof ms === "function" ? ms : () => ms;
    },
    calls: (path) => calls.get(path) ?? 0,
    totalCalls: () => [...calls.values()].reduce((sum, count) => sum + count, 0),
    mostUnderWay: () => mostUnderWay,
    reset() {
      calls.clear();
      mostUnderWay = underWay;
    },
    async stop() {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
    },
  };
}
