/** Bodies of the web family: read once, for the client and for the cache. */

import type { Fill } from "../../engine/exchange.ts";
import { asError } from "../../errors.ts";
import { clearTimeout, setTimeout } from "../../real-time.ts";

/** A source that never waits may never end; from here on its client sets the pace. */
const MAX_AT_HAND_BYTES: number = 4 * 1024 * 1024;

/** What a body may be made of. */
export type BodyContent = Uint8Array | ReadableStream<Uint8Array> | null;

/** Reads a response body once, for the client and for the cache. */
export class BodyReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #read: Uint8Array[] = [];
  /** Set while the body is read ahead of its reader. */
  #ahead: Promise<unknown> | undefined;
  #hasReader = false;
  #isReported = false;
  #pending: Promise<{ done: boolean; value?: Uint8Array | undefined }> | undefined;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** The whole body if it is there without waiting for anything outside, as for `Response.json()`, and not too much. */
  async wholeIfAtHand(): Promise<Uint8Array | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), 0);
    });
    let bytes = 0;
    try {
      while (bytes <= MAX_AT_HAND_BYTES) {
        this.#pending ??= this.#readBytes();
        const next = await Promise.race([this.#pending, late]);
        if (next === "late") return undefined;
        this.#pending = undefined;
        if (next.done) return joined(this.#read);
        if (next.value === undefined) continue;
        this.#read.push(next.value);
        bytes += next.value.byteLength;
      }
      return undefined;
    } catch (error) {
      // It is thrown again where the rest is read.
      this.#pending = Promise.reject(asError(error));
      this.#pending.catch(ignored);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next piece as bytes: what a stream of texts gives is sent as UTF-8 where the runtime sends it at all. */
  async #readBytes(): Promise<{ done: boolean; value?: Uint8Array | undefined }> {
    const { done, value } = (await this.#reader.read()) as { done: boolean; value?: unknown };
    if (done || value === undefined || value instanceof Uint8Array) return { done, value: value as Uint8Array };
    if (typeof value === "string") return { done, value: new TextEncoder().encode(value) };
    if (ArrayBuffer.isView(value))
      return { done, value: new Uint8Array(value.buffer, value.byteOffset, value.byteLength) };
    if (value instanceof ArrayBuffer) return { done, value: new Uint8Array(value) };
    throw new TypeError("a response body has to give bytes");
  }

  async #next(): Promise<Uint8Array | undefined> {
    const ready = this.#read.shift();
    if (ready !== undefined) return ready;
    const pending = this.#pending ?? this.#readBytes();
    this.#pending = undefined;
    const { done, value } = await pending;
    return done ? undefined : value;
  }

  /**
   * Hands each piece to the client as it is asked for, and a copy to the fill.
   *
   * @param begun called when the first piece is asked for
   * @param mayEnd a promise when the fill must not hear of the end before it has settled
   */
  streamThrough(fill: Fill, begun: () => void, mayEnd: () => Promise<void> | undefined): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (!this.#hasReader) {
            this.#hasReader = true;
            begun();
            await this.#ahead;
          }
          try {
            const piece = await this.#next();
            if (piece === undefined) {
              this.#reportEnd(fill, mayEnd());
              controller.close();
            } else {
              if (!this.#isReported) fill.chunk(piece);
              controller.enqueue(piece);
            }
          } catch (error) {
            fill.abort();
            controller.error(error);
          }
        },
        cancel: async (reason) => {
          fill.abort();
          await this.#reader.cancel(reason);
        },
      },
      NOT_AHEAD,
    );
  }

  /** What is read of the body, and its rest, for the client alone. */
  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const piece = await this.#next();
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
        cancel: (reason) => this.#reader.cancel(reason),
      },
      NOT_AHEAD,
    );
  }

  #reportEnd(fill: Fill, wait: Promise<void> | undefined): void {
    if (this.#isReported) return;
    if (wait === undefined) fill.end();
    else void wait.then(() => fill.end());
  }

  /** Tells the fill of a body that no reader has come for, if it is at hand. A reader that comes later still gets it. */
  async reportUnread(fill: Fill): Promise<void> {
    if (this.#hasReader) return;
    const ahead = this.wholeIfAtHand();
    this.#ahead = ahead;
    const whole = await ahead;
    if (this.#hasReader && whole === undefined) return;
    if (whole === undefined) return fill.abort();
    this.#isReported = true;
    fill.chunk(whole);
    fill.end();
  }

  /** Gives up what has not been read. Never rejects. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(ignored);
  }

  /**
   * Reads to the end for the fill alone.
   *
   * @param mayEnd a promise when the fill must not hear of the end before it has settled
   */
  async drainInto(fill: Fill, mayEnd: () => Promise<void> | undefined = () => undefined): Promise<void> {
    try {
      for (let piece = await this.#next(); piece !== undefined; piece = await this.#next()) fill.chunk(piece);
      await mayEnd();
      fill.end();
    } catch {
      fill.abort();
    }
  }
}

/** Nothing is asked for before the reader does. */
const NOT_AHEAD: QueuingStrategy<Uint8Array> = { highWaterMark: 0 };

/** These bytes as a stream that tells when they are first asked for. */
export function streamOf(bytes: Uint8Array, begun: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        begun();
        controller.enqueue(bytes);
        controller.close();
      },
      cancel: begun,
    },
    NOT_AHEAD,
  );
}

/** Reads a body to its end and drops it. */
export async function drain(body: ReadableStream<Uint8Array> | null): Promise<void> {
  if (body === null || body.locked) return;
  const reader = body.getReader();
  while (!(await reader.read()).done);
}

function ignored(): void {
  // The error reaches the reader of the rest.
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only.slice();
  let length = 0;
  for (const piece of pieces) length += piece.byteLength;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
