/** Shared by all stores: the form of a key, valid retentions, and bytes that keep no larger buffer alive. */

/** The two halves of a key `<prefix> <name>`. Text without a space is a prefix with an empty name. */
export function splitKey(key: string): { readonly prefix: string; readonly name: string } {
  const space = key.indexOf(" ");
  if (space === -1) return { prefix: key, name: "" };
  return { prefix: key.slice(0, space), name: key.slice(space + 1) };
}

/** A function that returns the prefix of a key. It tries the prefix of the last key first, which is mostly the same. */
export function prefixReader(): (key: string) => string {
  let last = "";
  return (key) => {
    if (last === "" || !key.startsWith(last) || key.charCodeAt(last.length) !== SPACE) last = splitKey(key).prefix;
    return last;
  };
}

const SPACE = 32;

/** True when an entry may be kept for `retainMs`: a positive, finite number. */
export function isRetention(retainMs: number): boolean {
  return retainMs > 0 && Number.isFinite(retainMs);
}

/**
 * The same bytes, in a buffer that holds little else.
 *
 * A small slice keeps the whole buffer it was cut from alive: 200 bytes of a 64 KiB network chunk cost 64 KiB.
 * Bytes that fill at least two thirds of their buffer are returned as they are.
 */
export function compactBytes(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > bytes.byteLength * 1.5 ? new Uint8Array(bytes) : bytes;
}
