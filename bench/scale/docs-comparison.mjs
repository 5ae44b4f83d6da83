/** The same script on other caches. */
import { commandList, counted, ms, number, table } from "./harness/text.mjs";
import { sum } from "./harness/figures.mjs";

export function comparison({ machine, commands, purge, race, "origin-calls": originCalls, slope }) {
  const names = ["reprise", "bentocache", "apicache"];
  const outcome = (subject, name) => commands[subject].find((row) => row.name === name);
  const sent = (name) => names.map((subject) => cellOf(outcome(subject, name)));
  const trips = (kind) => names.map((subject) => number(slope[subject][kind].roundTrips, 1));
  const purgeAt = (size) =>
    names.map((subject) => {
      const cost = purge.find((row) => row.size === size)[subject];
      return cost === undefined ? "not measured" : `${counted(cost.commands, "command")}, ${ms(cost.takenMs)} ms`;
    });
  const calls = (processes) =>
    names.map((subject) => {
      const row = originCalls[subject].find((each) => each.processes === processes);
      return row === undefined ? "not measured" : `${number(row.originCalls)} of ${number(row.requests)}`;
    });
  const outdated = names.map((subject) => `${race[subject].outdated} of ${race[subject].times}`);
  const largest = purge.at(-1).size;
  const rows = [
    ["Hit in memory, sent", ...sent("hit in memory")],
    ["Hit in Redis, sent", ...sent("hit in Redis")],
    ["Hit in Redis, round trips (slope)", ...trips("hit")],
    ["Miss, sent", ...sent("miss")],
    ["Miss, round trips waited for (slope)", ...trips("miss")],
    ["Purge by tag of 10,000 responses", ...purgeAt(10_000)],
    [`Purge by tag of ${number(largest)} responses`, ...purgeAt(largest)],
    ["Served after a purge that came while the origin answered", ...outdated],
    ...[1, 2, 4, 8].map((processes) => [`Origin calls, ${counted(processes, "process")}`, ...calls(processes)]),
  ];
  return [
    "## Beside other caches",
    `The same script with bentocache ${machine.bentocache}, a cache of values with tags, and apicache ${machine.apicache}, a cache of responses for Express; both as their documentation sets them up on Redis. They are installed for this run only, from \`bench/compare\`.`,
    table(["", "Reprise", "bentocache", "apicache"], rows),
    [
      "- **bentocache** keeps values: status, fields, `Vary`, conditional requests and what must not be cached are up to whoever calls it. Without memory in front of Redis it asks for the entry, for each tag and for the time of the last clearing one after the other; with memory, tags are looked up there. A purge by tag is one command, and the time of storing decides: what was asked for before the purge and stored after it counts as new. Misses are collapsed in each process, not across processes.",
      `- **apicache** has groups instead of tags, one for each response, and keeps their index in the memory of each process: a purge deletes key by key what this process has stored, and in another process it reaches nothing (${elsewhere(purge)}). Misses are not collapsed. It is asked over HTTP, so its times include that.`,
    ].join("\n"),
  ];
}

function cellOf(row) {
  if (row === undefined) return "no memory in front of Redis";
  return sum(Object.values(row.sent)) === 0 ? "0" : commandList(withoutPing(row.sent));
}

/** A PING is how the script waits for the commands of apicache's purge. */
function withoutPing({ PING: _ping, ...sent }) {
  return sent;
}

function elsewhere(purge) {
  const { size, apicache } = purge.findLast((row) => row.apicache !== undefined);
  return `${number(apicache.commandsElsewhere)} deletion for ${number(size)} responses, of a key named like the group`;
}
