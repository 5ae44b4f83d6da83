/** The Redis store over TLS: a real Redis behind a real TLS socket, whose certificate a client trusts or does not. */

import { readFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";

import { GlideClient } from "@valkey/valkey-glide";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as IovalkeyRedis } from "iovalkey";
import { createClient } from "redis";
import { describe, expect, it } from "vitest";

import { redisStore } from "../../../../src/stores/redis/index.ts";
import { reprise } from "../../../cli/cli.ts";
import { eachTest } from "../../../redis/each-test.ts";
import { opened, ownPrefix, textEntry, textOf, until, untilCaching } from "../../../redis/store.ts";

/** Made for localhost, signed by itself, valid for a hundred years. */
const certificatePath = join(import.meta.dirname, "../../../proxy/localhost.pem");
const ca = readFileSync(certificatePath);
const key = readFileSync(join(import.meta.dirname, "../../../proxy/localhost-key.pem"));

const { cleanups, server, ownStore } = eachTest();

/** Port of a TLS socket in front of a Redis of the test's own. */
async function secureRedis(): Promise<number> {
  const redis = await server();
  const front = createServer({ cert: ca, key }, (socket) => {
    const behind = connect(redis.port, "127.0.0.1");
    for (const [from, to] of [
      [socket, behind],
      [behind, socket],
    ] as const) {
      from.on("error", () => to.destroy()).on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => {
    front.listen(0, "127.0.0.1", resolve);
  });
  cleanups.push(() => front.close());
  return (front.address() as AddressInfo).port;
}

const lazyOverTls = { lazyConnect: true, tls: { ca } };

const forms: readonly { readonly form: string; readonly make: (port: number) => unknown }[] = [
  { form: "node-redis", make: (port) => createClient({ url: urlOf(port), socket: { tls: true, ca } }) },
  { form: "ioredis 6", make: (port) => new Redis(urlOf(port), lazyOverTls) },
  { form: "ioredis 5", make: (port) => new Redis5(urlOf(port), lazyOverTls) },
  { form: "iovalkey", make: (port) => new IovalkeyRedis(urlOf(port), lazyOverTls) },
  {
    form: "valkey-glide",
    make: (port) =>
      GlideClient.createClient({
        addresses: [{ host: "localhost", port }],
        useTLS: true,
        // Its TLS library takes no certificate that signed itself, trusted or not.
        advancedConfiguration: { tlsAdvancedConfiguration: { insecure: true } },
      }),
  },
];

function urlOf(port: number): string {
  return `rediss://localhost:${port}`;
}

describe("Redis over TLS", () => {
  it.each(forms)("a client of $form stores, finds and purges", async ({ make }) => {
    const port = await secureRedis();
    const store = ownStore(redisStore({ connect: () => make(port), deadlineMs: 2000 }));
    opened(store);
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);
    expect(textOf(await store.get("p a"))).toBe("a");
    await store.purges.purge("p", [{ kind: "all" }], { soft: false });
    expect(await store.get("p a")).toBeUndefined();
  });

  it("{ url } says in one event, within five seconds, that it does not trust the server", async () => {
    const port = await secureRedis();
    const store = ownStore(redisStore({ url: `rediss://:sesame@localhost:${port}` }));
    const events = opened(store);
    await until(() => events.length > 1, 5000);
    const address = urlOf(port);
    expect(events).toMatchObject([
      { type: "connecting", address },
      {
        type: "connection-failed",
        address,
        error: { code: "ERR_STORE_UNREACHABLE", message: expect.stringContaining("self-signed certificate") },
      },
    ]);
    expect(JSON.stringify(events)).not.toContain("sesame");
  });

  it("{ url } connects where Node.js was told to trust the server", async () => {
    const port = await secureRedis();
    const line = ["purge", "--redis", urlOf(port), "--prefix", ownPrefix(), "--all"];
    process.env["NODE_EXTRA_CA_CERTS"] = certificatePath;
    cleanups.push(() => delete process.env["NODE_EXTRA_CA_CERTS"]);
    expect(await reprise(...line)).toEqual({ code: 0, out: "purged\n", err: "" });
  });
});
