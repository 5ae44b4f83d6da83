/** Reprise as its documentation says to use it, with Redis alone, with memory in front of it, or on a Cluster. */

const LIFETIME = "1h";

/** `tiers`: the options of `tiered()`, if there is memory in front; `nodes`: the nodes of a Cluster instead of `url`. */
export async function open({ dist, url, nodes, tiers, prefix = "scale" }, origin) {
  const [{ createCache, memoryStore }, { redisStore }, { tiered }, { fetchCache }, { nodeCache }] = await Promise.all(
    ["index", "stores/redis", "stores/tiered", "adapters/fetch", "adapters/node"].map(
      (file) => import(`${dist}/${file}.js`),
    ),
  );
  const lower = redisStore(nodes === undefined ? { url } : { connect: () => clusterClient(nodes) });
  const store = tiers === undefined ? lower : tiered(memoryStore(), lower, tiers);
  const cache = createCache({ store, prefix });
  const options = { expire: LIFETIME, tags: ({ url }) => [tagOf(url)] };
  const handler = fetchCache(cache)(options, async (request) => {
    const text = await origin.answer(new URL(request.url).pathname);
    return new Response(text, { headers: { "content-type": "text/plain" } });
  });
  return {
    async request(path) {
      const response = await handler(new Request(`http://localhost${path}`));
      return { text: await response.text(), isHit: response.headers.get("x-reprise-cache") === "Hit" };
    },
    purge: (tag) => cache.purge({ tag }),
    nodeHandler: nodeCache(cache)(options, async (request, response) => {
      const text = await origin.answer(request.url);
      response.setHeader("content-type", "text/plain");
      response.end(text);
    }),
    close: () => cache.close(),
  };
}

function tagOf(url) {
  return new URL(url, "http://localhost").pathname.split("/")[1];
}

async function clusterClient(nodes) {
  const { createCluster } = await import("redis");
  return createCluster({
    rootNodes: nodes.map(({ host, port }) => ({ url: `redis://${host}:${port}` })),
    defaults: { disableOfflineQueue: true, maintNotifications: "disabled" },
  });
}
