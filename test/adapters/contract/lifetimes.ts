import { expect, it } from "vitest";

import type { Duration } from "../../../src/index.ts";
import type { RouteSpec } from "./driver.ts";
import { counter, hitOrMiss, type Setup } from "./world.ts";

const HOUR = 3_600;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** Has the fields of a `Temporal.Duration`, as getters of its prototype. */
class DurationLike {
  get hours(): number {
    return 1;
  }
  get minutes(): number {
    return 30;
  }
}

const FORMS: readonly { form: Duration; seconds: number; because: string }[] = [
  { form: 90, seconds: 90, because: "a number is seconds" },
  { form: 1, seconds: 1, because: "the shortest" },
  { form: "30s", seconds: 30, because: "seconds as text" },
  { form: "5m", seconds: 300, because: "m is minutes" },
  { form: "1h", seconds: HOUR, because: "hours" },
  { form: "7d", seconds: 7 * DAY, because: "days" },
  { form: "1h30m", seconds: HOUR + 1800, because: "units add up" },
  { form: { hours: 1 }, seconds: HOUR, because: "fields of a duration" },
  { form: { days: 1, minutes: 1 }, seconds: DAY + 60, because: "fields add up" },
  { form: new DurationLike(), seconds: HOUR + 1800, because: "a Temporal.Duration has getters" },
  { form: "3y", seconds: YEAR, because: "capped at one year" },
  { form: 1e12, seconds: YEAR, because: "capped at one year" },
];

const HELPERS: readonly { name: string; make: NonNullable<RouteSpec["make"]>; seconds: number }[] = [
  { name: "cached()", make: (cached, rest) => cached(undefined, ...rest), seconds: YEAR },
  { name: 'cached("5m")', make: (cached, rest) => cached("5m", ...rest), seconds: 300 },
  { name: "cached(45)", make: (cached, rest) => cached(45, ...rest), seconds: 45 },
  { name: "cached({ minutes: 2 })", make: (cached, rest) => cached({ minutes: 2 }, ...rest), seconds: 120 },
  { name: "oneMinute()", make: (cached, rest) => cached.oneMinute(undefined, ...rest), seconds: 60 },
  { name: "oneHour()", make: (cached, rest) => cached.oneHour({}, ...rest), seconds: HOUR },
  { name: "oneDay()", make: (cached, rest) => cached.oneDay({}, ...rest), seconds: DAY },
  { name: "oneWeek()", make: (cached, rest) => cached.oneWeek({}, ...rest), seconds: 7 * DAY },
  { name: "oneMonth()", make: (cached, rest) => cached.oneMonth({}, ...rest), seconds: 30 * DAY },
  { name: "oneYear()", make: (cached, rest) => cached.oneYear({}, ...rest), seconds: YEAR },
  {
    name: 'with({ expire: "2h" })()',
    make: (cached, rest) => cached.with({ expire: "2h" })({}, ...rest),
    seconds: 2 * HOUR,
  },
  {
    name: 'with("2h")({ expire: "3h" })',
    make: (cached, rest) => cached.with("2h")({ expire: "3h" }, ...rest),
    seconds: 3 * HOUR,
  },
];

/** How long a response stays fresh. */
export function lifetimes(setup: Setup): void {
  it("5.2 every form of a lifetime", async () => {
    const routes = FORMS.map(({ form }, at) => ({
      path: `/${at}`,
      handler: counter().handler,
      options: { expire: form },
    }));
    const { get } = await setup.start(routes);

    for (const [at, { seconds, because }] of FORMS.entries()) {
      for (const outcome of ["Miss", "Hit"]) {
        const received = await get(`/${at}`);
        expect(received.headers["cache-control"], because).toBe(`max-age=${seconds}`);
        expect(hitOrMiss(received), because).toBe(outcome);
      }
    }
  });

  it("5.3 the helpers oneMinute to oneYear and with()", async () => {
    const routes = HELPERS.map(({ make }, at) => ({ path: `/${at}`, handler: counter().handler, make }));
    const { get } = await setup.start(routes);

    for (const [at, { name, seconds }] of HELPERS.entries()) {
      expect((await get(`/${at}`)).headers["cache-control"], name).toBe(`max-age=${seconds}`);
      expect((await get(`/${at}`)).headers["cache-control"], name).toBe(`max-age=${seconds}`);
    }
  });

  it("5.3 with() keeps its other options as defaults, and those of the route win", async () => {
    const { get } = await setup.start([
      {
        path: "/",
        ...counter(),
        make: (cached, rest) => cached.with({ expire: "2h", query: ["a"] })({ query: ["b"] }, ...rest),
      },
    ]);

    expect((await get("/?b=1")).headers["cache-control"]).toBe(`max-age=${2 * HOUR}`);
    expect(hitOrMiss(await get("/?b=1&a=9"))).toBe("Hit");
    expect(hitOrMiss(await get("/?b=2"))).toBe("Miss");
  });

  it("5.2 a response is used until its lifetime is over, and not in that second", async () => {
    const { get, advance } = await setup.serve(counter().handler, { expire: 30 });

    await get("/");
    advance(29);
    expect((await get("/")).text).toBe('{"run":1}');
    advance(1);
    const late = await get("/");
    expect(late.text).toBe('{"run":2}');
    expect(hitOrMiss(late)).toBe("Miss");
  });

  it("5.2 byHeaders() takes the lifetime of the response, and adds no fields of its own", async () => {
    let run = 0;
    const { get, advance } = await setup.start([
      {
        path: "/",
        handler: () => ({ json: { run: ++run }, headers: { "Cache-Control": "max-age=20" } }),
        make: (cached, rest) => cached.byHeaders({}, ...rest),
      },
      {
        path: "/silent",
        handler: () => ({ json: { run: ++run } }),
        make: (cached, rest) => cached.byHeaders({}, ...rest),
      },
    ]);

    await get("/");
    advance(15);
    const hit = await get("/");
    expect(hit.headers["cache-control"]).toBe("max-age=20");
    expect(hit.headers["age"]).toBe("15");
    expect(hit.headers["expires"]).toBeUndefined();
    advance(5);
    expect((await get("/")).text).toBe('{"run":2}');
    await get("/silent");
    expect(hitOrMiss(await get("/silent"))).toBe("Miss");
  });
}
