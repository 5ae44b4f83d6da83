/** The browser that tests drive. */

import { execFileSync } from "node:child_process";
import { join } from "node:path";

export const CHROMIUM_FLAGS: readonly string[] = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The path of a Chromium or Chrome, which is installed where it is missing and may be installed. */
export function installedBrowser(): string {
  const script = join(import.meta.dirname, "../scripts/ensure-chromium.mjs");
  const output = execFileSync(process.execPath, [script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return output.trim().split("\n").at(-1) ?? "";
}
