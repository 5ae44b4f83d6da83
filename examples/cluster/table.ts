/** Rows with the same columns, printed with a title. */
export function printTable(title: string, rows: readonly Readonly<Record<string, string>>[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (cells: readonly string[]): string => cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ");
  console.log(title);
  console.log(`  ${line(columns)}`);
  console.log(`  ${line(widths.map((width) => "-".repeat(width)))}`);
  for (const row of rows) console.log(`  ${line(columns.map((column) => row[column] ?? ""))}`);
  console.log("");
}
