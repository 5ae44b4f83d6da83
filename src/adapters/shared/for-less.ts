/** Fields that ask for less than the whole response, which is what a copy of a request is sent for. */
export const FOR_LESS: ReadonlySet<string> = new Set(["if-none-match", "if-modified-since", "if-range", "range"]);
