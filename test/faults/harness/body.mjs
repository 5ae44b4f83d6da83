/** Content that says which request it answers, so that a client sees at once when it got something else. */

/** `padBytes` more bytes than the rest needs, which depend on the path. */
export function bodyText(path, padBytes, more) {
  return JSON.stringify({ path, ...more, pad: padding(path, padBytes) });
}

/** The content, or why it is not the answer to `path`. */
export function readBody(path, text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    return { problem: `no JSON: ${text.slice(0, 60)} (${text.length} characters)` };
  }
  if (content.path !== path) return { problem: `asked for ${path}, got ${content.path}` };
  const padBytes = Number(/[?&]bytes=(\d+)/.exec(path)?.[1] ?? 0);
  if (content.pad !== padding(path, padBytes)) return { problem: `damaged padding of ${path}` };
  return { content };
}

function padding(path, bytes) {
  return `${path} `.repeat(Math.ceil(bytes / (path.length + 1))).slice(0, bytes);
}
