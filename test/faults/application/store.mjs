/** The store of one application process, over the client package that the run is about. */

/** Undefined for a cache in memory. */
export async function makeStore({ dist, client, topology, tiered, storeOptions }) {
  if (topology === undefined) return undefined;
  const { redisStore } = await import(`${dist}/stores/redis/index.js`);
  const lower = redisStore({ connect: CLIENTS[client](topology), ...storeOptions });
  if (tiered === undefined) return lower;
  const [{ tiered: tieredStore }, { memoryStore }] = await Promise.all([
    import(`${dist}/stores/tiered.js`),
    import(`${dist}/stores/memory/index.js`),
  ]);
  return tieredStore(memoryStore(), lower, tiered);
}

const CLIENTS = {
  "node-redis": nodeRedis,
  ioredis: ioRedis,
};

/** Clients as the documentation recommends them; a function that makes one. */
function nodeRedis({ kind, url, nodes, name, sentinels }) {
  const options = { disableOfflineQueue: true, maintNotifications: "disabled" };
  const made = async (method, config) => {
    const packaged = await import("redis");
    // Not connected here: the store does that, and can close a client that never gets a connection.
    return packaged[method](config);
  };
  switch (kind) {
    case "standalone":
      return () => made("createClient", { url, ...options });
    case "cluster":
      return () =>
        made("createCluster", {
          rootNodes: nodes.map(({ host, port }) => ({ url: `redis://${host}:${port}` })),
          defaults: { maintNotifications: "disabled", disableOfflineQueue: true },
        });
    case "sentinel":
      return () =>
        made("createSentinel", {
          name,
          sentinelRootNodes: sentinels,
          reserveClient: true,
          nodeClientOptions: { maintNotifications: "disabled" },
          sentinelClientOptions: { maintNotifications: "disabled" },
        });
  }
  throw new Error(`No such topology: ${kind}`);
}

/** A primary that became a replica may have another server under its name by now; but reads need a connection, too. */
function onReadOnly() {
  let reconnectedAtMs = -Infinity;
  return (error) => {
    const nowMs = performance.now();
    if (!error.message.startsWith("READONLY") || nowMs - reconnectedAtMs < 5000) return false;
    reconnectedAtMs = nowMs;
    return true;
  };
}

function ioRedis({ kind, url, nodes, name, sentinels }) {
  const options = {
    commandTimeout: 250,
    socketTimeout: 1000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    reconnectOnError: onReadOnly(),
    retryStrategy: (attempt) => Math.min(1000, 50 * 2 ** Math.min(attempt, 10)),
  };
  const made = async (make) => make(await import("ioredis"));
  switch (kind) {
    case "standalone":
      return () => made(({ Redis }) => new Redis(url, options));
    case "cluster":
      return () => made(({ Cluster }) => new Cluster(nodes, { slotsRefreshInterval: 2000, redisOptions: options }));
    case "sentinel":
      return () => made(({ Redis }) => new Redis({ ...options, name, sentinels, failoverDetector: true }));
  }
  throw new Error(`No such topology: ${kind}`);
}
