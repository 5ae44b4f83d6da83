/** What a Redis server was asked to do, and what it cost it. */
import { connect } from "node:net";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { command, info } from "./servers.mjs";

/** After an answer a response may still be on its way into the store. */
const SETTLE_MS = 150;
const OWN = new Set(["CONFIG", "INFO", "ECHO", "MONITOR", "CLIENT", "AUTH"]);

/**
 * The commands that were sent while `act` ran, each with its connection, and those that scripts ran on the server, which
 * cost no round trip.
 */
export async function commandsOf(port, act) {
  const marker = randomUUID();
  const lines = [];
  const monitor = connect({ port, host: "127.0.0.1" });
  let text = "";
  const ended = new Promise((resolve, reject) => {
    monitor.setEncoding("latin1").on("data", (piece) => {
      const parts = text.concat(String(piece)).split("\r\n");
      text = parts.pop();
      lines.push(...parts);
      if (parts.some((line) => line.includes(marker))) resolve();
    });
    monitor.on("error", reject);
  });
  monitor.write("MONITOR\r\n");
  await pause(20);
  try {
    await act();
    await pause(SETTLE_MS);
    await command(port, "ECHO", marker);
    await ended;
  } finally {
    monitor.destroy();
  }
  const seen = lines.flatMap(parseLine).filter(({ name }) => !OWN.has(name.split(" ")[0]));
  return {
    sent: seen.filter(({ from }) => from !== "lua"),
    inScripts: seen.filter(({ from }) => from === "lua"),
  };
}

function parseLine(line) {
  const match = /^\+?[\d.]+ \[\d+ ([^\]]+)\] "([^"]+)"(.*)$/.exec(line);
  if (match === null) return [];
  const [, from, name, rest] = match;
  const isConditional = name.toUpperCase() === "SET" && / "NX"/i.test(rest);
  return [{ from, name: isConditional ? "SET NX" : name.toUpperCase() }];
}

/** `{ MGET: 1, EVALSHA: 2 }` of the commands, per `requests`. */
export function perRequest(commands, requests) {
  const counts = {};
  for (const { name } of commands) counts[name] = (counts[name] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count / requests]));
}

/** What `act` cost the server: commands executed, bytes received and sent, and seconds of CPU. */
export async function costOf(port, act) {
  // Reading the counters is counted as well.
  const idle = difference(await counters(port), await counters(port));
  const before = await counters(port);
  const result = await act();
  await pause(SETTLE_MS);
  const used = difference(before, await counters(port));
  const net = Object.fromEntries(Object.keys(used).map((name) => [name, used[name] - idle[name]]));
  return { result, ...net };
}

async function counters(port) {
  const all = await info(port, "everything");
  const number = (name) => Number(all.get(name));
  return {
    commands: number("total_commands_processed"),
    bytesIn: number("total_net_input_bytes"),
    bytesOut: number("total_net_output_bytes"),
    cpuSeconds: number("used_cpu_user") + number("used_cpu_sys"),
  };
}

function difference(before, after) {
  return Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]]));
}
