const NOTHING = new Uint8Array(0);

/** Keeps a copy of a body that streams by, up to a bound. */
export class Capture {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Copies `bytes`; false once the body is larger than may be kept. */
  push(bytes: Uint8Array): boolean {
    this.#bytes += bytes.byteLength;
    if (this.#bytes > this.#maxBytes) {
      this.#pieces = [];
      return false;
    }
    // The producer may reuse its buffer as soon as we return.
    if (bytes.byteLength > 0) this.#pieces.push(Uint8Array.prototype.slice.call(bytes));
    return true;
  }

  /** The body in one piece. */
  body(): Uint8Array {
    if (this.#pieces.length < 2) return this.#pieces[0] ?? NOTHING;
    const body = new Uint8Array(this.#bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      body.set(piece, at);
      at += piece.byteLength;
    }
    return body;
  }
}
