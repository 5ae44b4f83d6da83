import { EventEmitter } from "node:events";

/** A client in the shape of ioredis that answers when a test lets it. */
export class FakeClient extends EventEmitter {
  status = "connecting";
  isCluster = false;
  /** What `GET` and `MGET` return; by default nothing, ever. */
  answer: () => Promise<unknown> = () => new Promise(() => {});
  readonly options: Readonly<Record<string, unknown>>;

  constructor(port: number = 1) {
    super();
    this.options = { host: "redis.test", port };
  }

  ready(): void {
    this.status = "ready";
    this.emit("ready");
  }

  lose(): void {
    this.status = "reconnecting";
    this.emit("close");
  }

  end(): void {
    this.status = "end";
    this.emit("end");
  }

  getBuffer(): Promise<unknown> {
    return this.answer();
  }

  mgetBuffer(): Promise<unknown> {
    return this.answer();
  }

  set(): Promise<unknown> {
    return this.answer();
  }

  unlink(): Promise<unknown> {
    return this.answer();
  }

  async connect(): Promise<void> {}

  async quit(): Promise<void> {}

  disconnect(): void {
    this.status = "end";
  }
}
