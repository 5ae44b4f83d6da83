/** One end of a bare TCP connection: what arrives is kept as text, one character a byte. */

import { connect, createServer, type AddressInfo, type Socket } from "node:net";

const WITHIN_MS = 10_000;

export class Peer {
  readonly socket: Socket;
  /** Everything received and not yet taken by `until()`. */
  received = "";
  /** `end`: the other side finished in an orderly way; `reset`: it broke off. */
  readonly closed: Promise<"end" | "reset">;
  #wake: () => void = () => {};
  #isOver = false;

  constructor(socket: Socket) {
    this.socket = socket;
    let how: "end" | "reset" = "reset";
    socket.on("data", (bytes) => {
      this.received += bytes.toString("latin1");
      this.#wake();
    });
    socket.on("end", () => {
      how = "end";
      this.#isOver = true;
      this.#wake();
    });
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        this.#isOver = true;
        this.#wake();
        resolve(how);
      });
      socket.on("end", () => resolve("end"));
    });
  }

  static connect(port: number): Promise<Peer> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Peer(socket));
      });
    });
  }

  write(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Waits until `end` has arrived and takes everything up to there. */
  async until(end: string): Promise<string> {
    const giveUpAtMs = Date.now() + WITHIN_MS;
    for (;;) {
      const at = this.received.indexOf(end);
      if (at !== -1) {
        const taken = this.received.slice(0, at + end.length);
        this.received = this.received.slice(at + end.length);
        return taken;
      }
      if (this.#isOver || Date.now() > giveUpAtMs) {
        throw new Error(`${JSON.stringify(end)} did not arrive, but ${JSON.stringify(this.received)}`);
      }
      await this.#news(giveUpAtMs - Date.now());
    }
  }

  /** Waits for the end of the connection; everything that was left. */
  async rest(): Promise<string> {
    await this.closed;
    return this.received;
  }

  #news(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

export interface RawServer {
  readonly port: number;
  readonly url: string;
  /** Each connection that was accepted, in order. */
  readonly peers: Peer[];
  close(): Promise<void>;
}

/** A server of bare connections; `serve` plays its part on each. */
export async function rawServer(serve: (peer: Peer, count: number) => Promise<void> | void): Promise<RawServer> {
  const peers: Peer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new Peer(socket);
    peers.push(peer);
    // A test that has ended no longer waits for what it was promised.
    void Promise.resolve(serve(peer, peers.length)).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    peers,
    close: () =>
      new Promise((resolve) => {
        for (const { socket } of peers) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
