/** The one suite every adapter passes, over a store in memory and over a real Redis. */

import { describe } from "vitest";

import { asyncContext } from "./async-context.ts";
import { bodies } from "./bodies.ts";
import { brokenOff } from "./broken-off.ts";
import { choices } from "./choices.ts";
import { collapsing } from "./collapsing.ts";
import { conditional } from "./conditional.ts";
import { connections } from "./connections.ts";
import { directives } from "./directives.ts";
import type { Driver } from "./driver.ts";
import { identity } from "./identity.ts";
import { keys } from "./keys.ts";
import { lifetimes } from "./lifetimes.ts";
import { logging } from "./logging.ts";
import { methods } from "./methods.ts";
import { namespaces } from "./namespaces.ts";
import { nesting } from "./nesting.ts";
import { purging } from "./purging.ts";
import { refusals } from "./refusals.ts";
import { responseFields } from "./response-fields.ts";
import { staleResponses } from "./stale.ts";
import { type RedisClientName, tieredKind } from "./stores.ts";
import { switches } from "./switches.ts";
import { onEachStore, onStores, type Setup, setupFor } from "./world.ts";
import { wrongOptions } from "./wrong-options.ts";

const TOPICS: readonly ((setup: Setup) => void)[] = [
  namespaces,
  lifetimes,
  wrongOptions,
  bodies,
  brokenOff,
  connections,
  methods,
  directives,
  conditional,
  responseFields,
  logging,
  choices,
  keys,
  identity,
  refusals,
  collapsing,
  asyncContext,
  nesting,
  staleResponses,
  purging,
  switches,
];

export function adapterContract(driver: Driver, redisClient: RedisClientName): void {
  describe(driver.name, () => {
    onEachStore(redisClient, (kind) => {
      const setup = setupFor(driver, kind);
      for (const topic of TOPICS) topic(setup);
    });
    onStores([tieredKind(redisClient)], (kind) => asyncContext(setupFor(driver, kind)));
  });
}
