// Prints what vitest reported outside of any test, one line for each error: its output is the argument.
import { readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";

const SHOWN_LINES = 12;
const LINE_CHARACTERS = 600;

const lines = stripVTControlCharacters(readFileSync(process.argv[2], "utf8")).split("\n");
const headings = lines.flatMap((line, at) =>
  / (?:Unhandled Rejection|Uncaught Exception|Unhandled Error) /.test(line) ? [at] : [],
);
for (const at of headings.slice(0, 5)) {
  const text = lines.slice(at, at + SHOWN_LINES).join(" ");
  console.log(text.replace(/\s+/g, " ").slice(0, LINE_CHARACTERS));
}
if (headings.length === 0)
  console.log(lines.slice(-SHOWN_LINES).join(" ").replace(/\s+/g, " ").slice(-LINE_CHARACTERS));
