/** bentocache keeps values, so a response is kept as one: the way its documentation caches the answer of an API. */
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { redisBusDriver, redisDriver } from "bentocache/drivers/redis";

const LIFETIME = "1h";

export async function open({ url, tiers }, origin) {
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port) };
  const remote = redisDriver({ connection });
  const store =
    tiers === undefined
      ? bentostore().useL2Layer(remote)
      : bentostore().useL1Layer(memoryDriver()).useL2Layer(remote).useBus(redisBusDriver({ connection }));
  const bento = new BentoCache({ default: "responses", stores: { responses: store } });
  return {
    async request(path) {
      let isHit = true;
      const factory = async () => {
        isHit = false;
        return { status: 200, headers: { "content-type": "text/plain" }, text: await origin.answer(path) };
      };
      const { text } = await bento.getOrSet({ key: path, ttl: LIFETIME, tags: [path.split("/")[1]], factory });
      return { text, isHit };
    },
    purge: (tag) => bento.deleteByTag({ tags: [tag] }),
    close: () => bento.disconnectAll(),
  };
}
