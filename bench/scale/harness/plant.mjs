/** Fills a Redis server with stored responses, faster than requests could. */
import { createClient } from "redis";

const PER_SCRIPT = 10_000;

/** Copies of what is under KEYS[1], and where asked for an index of them, as caches with an index per tag keep it. */
const PLANT = `
local bytes = redis.call('GET', KEYS[1])
for at = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local key = KEYS[1] .. ':' .. at
  redis.call('SET', key, bytes, 'PX', 3600000)
  if ARGV[3] ~= '' then redis.call('SADD', ARGV[3], key) end
end
return 1`;

/** A connection on which anything can be sent. */
export async function redisClient(port) {
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  client.on("error", () => {});
  return client.connect();
}

/** Makes `size` copies of the stored response whose key contains `word`; with the keys in the set `index`, if it is named. */
export async function plant(port, { word, size, index = "" }) {
  const client = await redisClient(port);
  try {
    const template = await storedKey(client, word);
    for (let from = 1; from <= size; from += PER_SCRIPT) {
      const to = Math.min(size, from + PER_SCRIPT - 1);
      await client.sendCommand(["EVAL", PLANT, "1", template, String(from), String(to), index]);
    }
  } finally {
    client.destroy();
  }
}

/** The key of the response whose path contains `word`, on a server that has no others of the kind. */
export async function storedKey(client, word) {
  for (const key of await client.sendCommand(["KEYS", `*${word}*`])) {
    if ((await client.sendCommand(["TYPE", key])) === "string") return key;
  }
  throw new Error(`Nothing is stored under a key with "${word}".`);
}
