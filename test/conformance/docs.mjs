/** The part of docs/conformance.md that comes from a run: between two comments with the name of the suite. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { recordedScores } from "./suite.mjs";

const FILE = join(import.meta.dirname, "../../docs/conformance.md");

const begin = (suite) => `<!-- suite ${suite.name}: written by npm run conformance -- --write-docs -->`;
const end = (suite) => `<!-- end of suite ${suite.name} -->`;

/** Puts the figures of these runs into the page. */
export async function writeDocs(suite, reports) {
  const page = split(suite);
  if (page === undefined) throw new Error(`docs/conformance.md has no place for suite ${suite.name}.`);
  const { before, after } = page;
  writeFileSync(FILE, `${before}\n\n${await figures(suite, reports)}\n\n${after}`);
}

/** Why the page is not true, or `undefined`. It need not mention a suite. */
export async function docsProblem(suite, reports) {
  const page = split(suite);
  if (page === undefined || page.within === (await figures(suite, reports))) return undefined;
  return `docs/conformance.md has other figures for suite ${suite.name}. Write these with --write-docs.`;
}

function split(suite) {
  const text = readFileSync(FILE, "utf8");
  const from = text.indexOf(begin(suite));
  const to = text.indexOf(end(suite));
  if (from === -1 || to === -1) return undefined;
  const start = from + begin(suite).length;
  return { before: text.slice(0, start), within: text.slice(start, to).trim(), after: text.slice(to) };
}

async function figures(suite, reports) {
  const rows = reports.map(({ profile, score }) => [titleOf(profile), ...cells(score)]);
  const others = suite.isNewer ? await recordedScores(suite) : [];
  const otherRows = others.map(({ name, version, score }) => [`${name} ${version ?? ""}`.trim(), ...cells(score)]);
  return [
    table(["Reprise", "Required", "Optimal", "Checks"], rows),
    ...(otherRows.length === 0 ? [] : [table(["Recorded with the suite", "Required", "Optimal", "Checks"], otherRows)]),
    ...reports.flatMap(reasons),
  ].join("\n\n");
}

function titleOf(profile) {
  return profile === "middleware" ? "middleware" : `proxy, profile \`${profile}\``;
}

function cells({ required, optimal, check }) {
  return [required, optimal, check].map(({ passed, asked }) => `${passed} of ${asked}`);
}

const LISTS = {
  failing: "Failing",
  unanswered: "Checks without an answer, because what they set up does not come about",
  excluded: "Not asked",
};

function reasons({ profile, expected: { groups, like } }) {
  const title = titleOf(profile);
  const also = like === undefined ? [] : [`As profile \`${like}\`, and:`];
  const lists = Object.entries(LISTS).filter(([name]) => groups[name].length > 0);
  return [
    `### ${title[0].toUpperCase()}${title.slice(1)}`,
    ...also,
    ...lists.flatMap(([name, lead]) => [`${lead}:`, list(groups[name])]),
  ];
}

function list(groups) {
  return groups.map(({ reason, tests }) => `- ${tests.map((id) => `\`${id}\``).join(", ")}: ${reason}`).join("\n");
}

/** A table with its columns aligned, as the formatter of the project wants it. */
function table(head, rows) {
  const widths = head.map((cell, column) => Math.max(...[head, ...rows].map((row) => row[column].length), cell.length));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
