/** The processes of one run. Each run has its own, so it begins with an empty store. */
import { fork, spawn } from "node:child_process";
import { devNull } from "node:os";
import { join } from "node:path";

const FOLDER = import.meta.dirname;
const MAIN = join(FOLDER, "../../dist/cli/main.js");
const START_MS = 20_000;
const RUN_MS = 240_000;

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

function keep(child) {
  running.add(child);
  child.once("close", () => running.delete(child));
  return child;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => {
    child.once("close", resolve);
  });
  child.kill("SIGKILL");
  await closed;
}

/** The first answer of `look`, or an error when the child ends or takes too long. `said` collects what it says. */
function until(child, what, timeoutMs, said, look) {
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${what} ${why}.\n${said.text}`));
    const timer = setTimeout(() => fail("took too long"), timeoutMs);
    child.once("error", (error) => fail(`could not run (${error.message})`));
    child.once("close", (code, signal) => fail(`ended early (${signal ?? code})`));
    look((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

function listenTo(child, isLoud) {
  const said = { text: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said.text = (said.text + chunk).slice(-20_000);
      if (isLoud) process.stdout.write(chunk);
    });
  }
  return said;
}

/** A server that prints its URL when it listens. */
async function startServer(what, args, options, isLoud) {
  const child = keep(spawn(process.execPath, args, { ...options, stdio: ["ignore", "pipe", "pipe"] }));
  const said = listenTo(child, isLoud);
  const port = await until(child, what, START_MS, said, (found) => {
    child.stdout.on("data", () => {
      const [, number] = /https?:\/\/\S*?:(\d+)[/\s]/.exec(said.text) ?? [];
      if (number !== undefined) found(number);
    });
  });
  return { child, said, port };
}

function startOrigin(suite, isLoud) {
  const env = {
    ...process.env,
    npm_config_protocol: "http",
    npm_config_port: "0",
    npm_config_pidfile: devNull,
  };
  return startServer(
    "The server of the suite",
    [join(suite.engine, "server/server.mjs")],
    { cwd: suite.directory, env },
    isLoud,
  );
}

/** Origin and proxy, or the origin wrapped in the middleware; in the order they stop in. */
async function startSubject(suite, profile, isLoud) {
  if (profile === "middleware") {
    const args = [join(FOLDER, "middleware.mjs"), suite.engine];
    return [await startServer("The wrapped server", args, { cwd: suite.directory }, isLoud)];
  }
  const origin = await startOrigin(suite, isLoud);
  const upstream = `http://127.0.0.1:${origin.port}`;
  const args = [MAIN, "proxy", upstream, "--listen", "127.0.0.1:0", "--profile", profile];
  return [await startServer("The proxy", args, {}, isLoud), origin];
}

/**
 * Runs the tests with these ids against a fresh subject; resolves with the suite's results by id.
 *
 * @param isLoud the exchange of each test is printed
 */
export async function runOnce(suite, profile, ids, isLoud) {
  const servers = await startSubject(suite, profile, isLoud);
  const { directory, engine, isNewer } = suite;
  const task = { directory, engine, isNewer, base: `http://127.0.0.1:${servers[0].port}`, ids, isLoud };
  const client = keep(fork(join(FOLDER, "client.mjs"), { execArgv: ["--no-warnings"], silent: true }));
  const said = listenTo(client, isLoud);
  try {
    return await until(client, "The client of the suite", RUN_MS, said, (found) => {
      client.once("message", found);
      client.send(task);
    });
  } finally {
    for (const child of [client, ...servers.map((server) => server.child)]) await stop(child);
  }
}
