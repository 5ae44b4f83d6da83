/** Tags of responses and function results, and what they are called in a purge log. */

/** More tags than this, or longer ones, would be dropped by somebody: such a response is not stored. */
export const MAX_TAGS = 64;
export const MAX_TAG_LENGTH = 256;

/** The name of an entry that has this tag. */
export function tagName(tag: string): string {
  return `#${tag}`;
}
