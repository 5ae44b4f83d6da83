/** What the documentation promises, as far as it can be counted. */
import { sum } from "./harness/figures.mjs";

const MOST_FOR_A_MISS = 4;
/** How far from a whole number of round trips the slope may be: timers and other work of the machine. */
const SLOPE_ERROR = 0.2;

/** For each promise that the results say something about: the promise, whether it was kept, and what was measured. */
export function claims(results) {
  return Object.keys(CLAIMS).flatMap((part) => (results[part] === undefined ? [] : CLAIMS[part](results[part])));
}

const CLAIMS = {
  commands({ reprise }) {
    const sent = (name) => sum(Object.values(reprise.find((row) => row.name === name).sent));
    const exactly = (name, count) => claim(`commands for a ${name}: ${count}`, sent(name) === count, sent(name));
    return [
      exactly("hit in memory", 0),
      exactly("hit in Redis", 1),
      claim(`commands for a miss: at most ${MOST_FOR_A_MISS}`, sent("miss") <= MOST_FOR_A_MISS, sent("miss")),
      exactly("purge by tag", 1),
    ];
  },
  purge(rows) {
    const counts = rows.map(({ reprise }) => reprise.commands);
    return [
      claim(
        "a purge costs one command whatever it covers",
        counts.every((count) => count === 1),
        counts.join(", "),
      ),
    ];
  },
  race({ reprise }) {
    const actual = `${reprise.outdated} of ${reprise.times}`;
    return [claim("nothing asked for before a purge is served after it", reprise.outdated === 0, actual)];
  },
  "origin-calls"({ reprise, atOnce }) {
    return [
      claimOfOneCall("one origin call, however many processes miss", reprise),
      claimOfOneCall("also when all of them ask in one instant", atOnce),
    ];
  },
  staleness(runs) {
    return runs.map(({ maxStalenessMs, pastBound, ownStale, maxMs }) =>
      claim(`no stale read later than ${maxStalenessMs} ms after a purge`, pastBound + ownStale === 0, `${maxMs} ms`),
    );
  },
  shards({ redirects, hits, keys }) {
    return [
      claim("no command across slots", redirects.CROSSSLOT === 0, redirects.CROSSSLOT),
      claim("every key is found on its shard", hits === keys, `${hits} of ${keys}`),
    ];
  },
  slope({ reprise }) {
    const { roundTrips } = reprise.hit;
    return [claim("a hit in Redis waits for one round trip", Math.abs(roundTrips - 1) <= SLOPE_ERROR, roundTrips)];
  },
};

function claim(text, isKept, actual) {
  return { text, isKept, actual };
}

function claimOfOneCall(promise, rows) {
  const counts = rows.map(({ originCalls }) => originCalls);
  return claim(
    promise,
    counts.every((count) => count === 1),
    counts.join(", "),
  );
}
