/** How long others wait for Redis meanwhile, seen from a process that does nothing else. Run as a child, it pings. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";

const FILE = fileURLToPath(import.meta.url);

if (process.argv[2] === "--ping") await pingUntilTold(Number(process.argv[3]));

/** The longest answer to a PING while `act` ran, in milliseconds; one PING each millisecond. */
export async function longestPing(port, act) {
  const child = fork(FILE, ["--ping", String(port)]);
  try {
    await once(child, "message");
    await act();
    child.send("stop");
    const [{ longestMs }] = await once(child, "message");
    return longestMs;
  } finally {
    child.kill();
  }
}

async function pingUntilTold(port) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const ping = async () => {
    const startMs = performance.now();
    socket.write("PING\r\n");
    await once(socket, "data");
    return performance.now() - startMs;
  };
  for (let time = 0; time < 200; time += 1) await ping();
  let longestMs = 0;
  const stop = new AbortController();
  process.once("message", () => stop.abort());
  process.send("ready");
  while (!stop.signal.aborted) {
    longestMs = Math.max(longestMs, await ping());
    await pause(1);
  }
  process.send({ longestMs });
  socket.destroy();
}
