/**
 * Commands that wait for an answer, including commands whose callers gave up: a command costs its client memory until it is
 * answered or dropped.
 */

import { MAX_WAITING_LOOK_UPS, MAX_WAITING_OTHERS } from "./limits.ts";

/** Look-ups are bounded apart from the rest: no burst of them takes the place of a purge, a write or the end of a lease. */
export type Place = "lookUps" | "others";

const MOST: Readonly<Record<Place, number>> = { lookUps: MAX_WAITING_LOOK_UPS, others: MAX_WAITING_OTHERS };
const WORDS: Readonly<Record<Place, string>> = { lookUps: "look-ups", others: "commands" };

export class InFlight {
  readonly #maxWritingBytes: number;
  #counts: Record<Place | "writingBytes", number> = { lookUps: 0, others: 0, writingBytes: 0 };

  constructor(maxWritingBytes: number) {
    this.#maxWritingBytes = maxWritingBytes;
  }

  /** Counts a command until the returned function is called, once or more, or until `reset()`. */
  begin(place: Place, bytes: number): () => void {
    const counts = this.#counts;
    counts[place] += 1;
    counts.writingBytes += bytes;
    let isInFlight = true;
    return () => {
      if (!isInFlight) return;
      isInFlight = false;
      counts[place] -= 1;
      counts.writingBytes -= bytes;
    };
  }

  /** The words for what is too much if another command comes; undefined while there is room for it. */
  tooMany(place: Place): string | undefined {
    return this.#counts[place] < MOST[place] ? undefined : `${this.#counts[place]} ${WORDS[place]}`;
  }

  /** As `tooMany`, for a write of `bytes` bytes. One write at a time may be larger than the bound. */
  tooMuch(bytes: number): string | undefined {
    const { writingBytes } = this.#counts;
    return writingBytes > 0 && writingBytes + bytes > this.#maxWritingBytes ? `${writingBytes} bytes` : undefined;
  }

  /** A new connection: commands over the old one count no longer, and neither do their answers. */
  reset(): void {
    this.#counts = { lookUps: 0, others: 0, writingBytes: 0 };
  }
}
