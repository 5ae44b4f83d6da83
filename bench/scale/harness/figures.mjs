/** Arithmetic on what was measured. */

export function median(values) {
  return percentile(values, 0.5);
}

/** The smallest value that at least this share of all are not above. */
export function percentile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** Slope and intercept of the straight line that is nearest to the points, by least squares. */
export function line(points) {
  const meanX = sum(points.map(([x]) => x)) / points.length;
  const meanY = sum(points.map(([, y]) => y)) / points.length;
  const slope = sum(points.map(([x, y]) => (x - meanX) * (y - meanY))) / sum(points.map(([x]) => (x - meanX) ** 2));
  return { slope, intercept: meanY - slope * meanX };
}

export function round(value, digits = 0) {
  return Number(value.toFixed(digits));
}
