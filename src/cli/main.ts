#!/usr/bin/env node
import { runLine } from "./commands.ts";

const LAST_WORDS_MS = 1_000;

const code = await runLine(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
});
// Output to a pipe may still be on its way, so no process.exit() yet. In a worker the channel to the primary process would
// keep it alive; whatever else does has had its time.
process.exitCode = code;
if (process.connected) process.disconnect();
setTimeout(() => process.exit(), LAST_WORDS_MS).unref();
