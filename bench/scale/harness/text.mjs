/** Figures as text, and tables. */

const DIGITS = new Map();

/** `12,345` or `1.5`. */
export function number(value, digits = 0) {
  const format = DIGITS.get(digits) ?? new Intl.NumberFormat("en", { maximumFractionDigits: digits });
  DIGITS.set(digits, format);
  return format.format(value);
}

/** `1 process`, `2 processes`. */
export function counted(count, noun) {
  const plural = noun.endsWith("s") ? `${noun}es` : `${noun}s`;
  return `${number(count)} ${count === 1 ? noun : plural}`;
}

/** Milliseconds, with as many digits as mean something. */
export function ms(value) {
  return number(value, value < 10 ? 1 : 0).replace(/^0$/, value > 0 ? "<0.1" : "0");
}

/** `1 MGET, 1 SET NX` of what was sent per request. */
export function commandList(sent) {
  const names = Object.keys(sent);
  return names.length === 0 ? "0" : names.map((name) => `${number(sent[name], 1)} ${name}`).join(", ");
}

/** A table with its columns aligned, as the formatter of the project wants it. */
export function table(head, rows) {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
