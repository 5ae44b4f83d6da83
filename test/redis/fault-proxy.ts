/** A TCP proxy on the loopback interface that does to a connection what networks do. */

import { connect, createServer, type Server, type Socket } from "node:net";

export interface FaultProxy {
  readonly port: number;
  readonly url: string;
  readonly counters: Readonly<FaultProxyCounters>;
  /** Each piece of a reply arrives so much later: a round trip takes `ms`, and up to `jitterMs` more, longer. */
  delay(ms: number, jitterMs?: number): void;
  /** Replies come no faster than this. */
  limit(bytesPerSecond: number): void;
  /** Resets a connection after so many more bytes of replies on it; done `times` times, for whichever gets there first. */
  cutAfter(bytes: number, times?: number): void;
  /** Nothing passes and nothing is closed, on new connections too, until `pass()`: what was sent meanwhile then arrives. */
  blackHole(): void;
  /** Resets all connections of this moment. */
  reset(): void;
  /** New connections are reset at once, until `pass()`. Those of this moment stay. */
  refuse(): void;
  /** Ends every fault. */
  pass(): void;
  /** Closes the port and all connections. */
  stop(): Promise<void>;
}

interface FaultProxyCounters {
  /** Connections accepted so far. */
  connections: number;
  /** Connections open now. */
  open: number;
  /** Connections the proxy has reset. */
  resets: number;
  bytesToServer: number;
  bytesToClient: number;
}

interface Faults {
  delayMs: number;
  jitterMs: number;
  bytesPerSecond: number;
  cutAfterBytes: number;
  cutsLeft: number;
  isBlackHole: boolean;
  isRefusing: boolean;
}

const PASSING: Readonly<Faults> = {
  delayMs: 0,
  jitterMs: 0,
  bytesPerSecond: Infinity,
  cutAfterBytes: Infinity,
  cutsLeft: 0,
  isBlackHole: false,
  isRefusing: false,
};

/** Pieces of a limited reply, so that its bytes come evenly. */
const PIECES_PER_SECOND = 50;
/** Replies that wait in the proxy, per connection, before it stops reading from the server. */
const MAX_WAITING_BYTES = 64 * 1024;

/** Listens on a free port of 127.0.0.1 for connections to `targetPort` there. Passes everything until told otherwise. */
export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const faults: Faults = { ...PASSING };
  const counters: FaultProxyCounters = { connections: 0, open: 0, resets: 0, bytesToServer: 0, bytesToClient: 0 };
  const pairs = new Set<ProxiedConnection>();
  const server = createServer((socket) => {
    counters.connections += 1;
    if (faults.isRefusing) {
      counters.resets += 1;
      socket.resetAndDestroy();
      return;
    }
    const pair = new ProxiedConnection(socket, targetPort, faults, counters, () => pairs.delete(pair));
    pairs.add(pair);
  });
  const port = await listening(server);
  const change = (faultsNow: Partial<Faults>): void => {
    Object.assign(faults, faultsNow);
    for (const pair of pairs) pair.faultsChanged();
  };
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    counters,
    delay: (delayMs, jitterMs = 0) => change({ delayMs, jitterMs }),
    limit: (bytesPerSecond) => change({ bytesPerSecond }),
    cutAfter: (cutAfterBytes, cutsLeft = 1) => {
      for (const pair of pairs) pair.countFromHere();
      change({ cutAfterBytes, cutsLeft });
    },
    blackHole: () => change({ isBlackHole: true }),
    reset: () => {
      for (const pair of pairs) pair.reset();
    },
    refuse: () => change({ isRefusing: true }),
    pass: () => change(PASSING),
    stop: async () => {
      for (const pair of pairs) pair.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No free port.");
  return address.port;
}

/** A piece of a reply and when it may be passed on. */
interface Waiting {
  readonly bytes: Buffer;
  readonly atMs: number;
}

class ProxiedConnection {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #faults: Faults;
  readonly #counters: FaultProxyCounters;
  readonly #onClosed: () => void;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #lastAtMs = 0;
  #repliedBytes = 0;
  #hasEnded = false;
  #isClosed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Socket, targetPort: number, faults: Faults, counters: FaultProxyCounters, onClosed: () => void) {
    this.#client = client;
    this.#faults = faults;
    this.#counters = counters;
    this.#onClosed = onClosed;
    counters.open += 1;
    this.#upstream = connect({ port: targetPort, host: "127.0.0.1" });
    for (const socket of [client, this.#upstream]) {
      socket.setNoDelay(true);
      socket.on("error", () => this.reset());
    }
    client.on("data", (bytes: Buffer) => {
      counters.bytesToServer += bytes.length;
      this.#upstream.write(bytes);
    });
    client.on("close", () => this.close());
    this.#upstream.on("data", (bytes: Buffer) => this.#replied(bytes));
    this.#upstream.on("close", () => {
      this.#hasEnded = true;
      this.#deliver();
    });
    this.faultsChanged();
  }

  faultsChanged(): void {
    if (this.#faults.isBlackHole) this.#client.pause();
    else this.#client.resume();
    this.#readUpstream();
    this.#deliver();
  }

  countFromHere(): void {
    this.#repliedBytes = 0;
  }

  reset(): void {
    if (this.#isClosed) return;
    this.#counters.resets += 1;
    this.#client.resetAndDestroy();
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#counters.open -= 1;
    clearTimeout(this.#timer);
    this.#client.destroy();
    this.#upstream.destroy();
    this.#onClosed();
  }

  #replied(bytes: Buffer): void {
    const { bytesPerSecond, delayMs, jitterMs } = this.#faults;
    const pieceBytes = Number.isFinite(bytesPerSecond)
      ? Math.max(1, Math.floor(bytesPerSecond / PIECES_PER_SECOND))
      : bytes.length;
    const earliestMs = performance.now() + delayMs + Math.random() * jitterMs;
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      // Never before the piece ahead of it; 0 ms where nothing limits.
      const takesMs = (piece.length / bytesPerSecond) * 1000;
      this.#lastAtMs = Math.max(earliestMs, this.#lastAtMs) + takesMs;
      this.#waiting.push({ bytes: piece, atMs: this.#lastAtMs });
      this.#waitingBytes += piece.length;
    }
    this.#readUpstream();
    this.#deliver();
  }

  #readUpstream(): void {
    if (this.#faults.isBlackHole || this.#waitingBytes > MAX_WAITING_BYTES) this.#upstream.pause();
    else this.#upstream.resume();
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed || this.#faults.isBlackHole) return;
    const nowMs = performance.now();
    let next = this.#waiting[0];
    while (next !== undefined && (next.atMs <= nowMs || this.#isUnhindered())) {
      this.#waiting.shift();
      this.#waitingBytes -= next.bytes.length;
      if (!this.#passOn(next.bytes)) return;
      next = this.#waiting[0];
    }
    this.#readUpstream();
    if (next !== undefined) this.#timer = setTimeout(() => this.#deliver(), Math.max(1, next.atMs - nowMs));
    else if (this.#hasEnded) this.close();
  }

  #isUnhindered(): boolean {
    return this.#faults.delayMs === 0 && this.#faults.jitterMs === 0 && this.#faults.bytesPerSecond === Infinity;
  }

  /** False when the connection was cut by it. */
  #passOn(bytes: Buffer): boolean {
    const { cutAfterBytes, cutsLeft } = this.#faults;
    const roomBytes = cutsLeft > 0 ? cutAfterBytes - this.#repliedBytes : Infinity;
    const passed = bytes.subarray(0, Math.min(bytes.length, roomBytes));
    this.#repliedBytes += passed.length;
    this.#counters.bytesToClient += passed.length;
    if (passed.length === bytes.length) {
      this.#client.write(passed);
      return true;
    }
    this.#faults.cutsLeft -= 1;
    // A reset discards what is not yet sent, so the last bytes go first.
    this.#client.write(passed, () => this.reset());
    return false;
  }
}
