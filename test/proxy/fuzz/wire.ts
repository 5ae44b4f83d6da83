/** A client that writes bytes as they are, many requests to a connection, and trusts nothing that comes back. */

import { connect } from "node:net";

export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

const FIELD_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/;
const STATUS_LINE = /^HTTP\/1\.1 (\d{3}) [\t\x20-\x7e\x80-\xff]*$/;

/** The final answer at `at`, and where it ends; `undefined` while some of it is missing. */
function readAnswer(
  text: string,
  at: number,
  isHead: boolean,
  isOver: boolean,
): { readonly answer: Answer; readonly next: number } | undefined {
  const end = text.indexOf("\r\n\r\n", at);
  if (end === -1) return undefined;
  const head = text.slice(at, end);
  const [first = "", ...lines] = head.split("\r\n");
  const status = Number(STATUS_LINE.exec(first)?.[1]);
  if (Number.isNaN(status)) throw new Error(`no status line: ${JSON.stringify(first)}`);
  for (const line of lines) if (!FIELD_LINE.test(line)) throw new Error(`no field line: ${JSON.stringify(line)}`);
  const start = end + 4;
  if (status < 200 && status !== 101) return readAnswer(text, start, isHead, isOver);
  if (isHead || status === 204 || status === 304 || status < 200) {
    return { answer: { status, head, body: "" }, next: start };
  }
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return readChunks(text, start, { status, head });
  const lengths = [...head.matchAll(/\r\ncontent-length: *(\d+)/gi)].map(([, digits]) => Number(digits));
  if (lengths.length > 1) throw new Error(`more than one length: ${JSON.stringify(head)}`);
  const [length] = lengths;
  if (length === undefined) {
    return isOver ? { answer: { status, head, body: text.slice(start) }, next: text.length } : undefined;
  }
  if (text.length < start + length) return undefined;
  return { answer: { status, head, body: text.slice(start, start + length) }, next: start + length };
}

function readChunks(
  text: string,
  start: number,
  { status, head }: { status: number; head: string },
): { readonly answer: Answer; readonly next: number } | undefined {
  let body = "";
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (Number.isNaN(size)) throw new Error(`no chunk size: ${JSON.stringify(text.slice(at, lineEnd))}`);
    const dataStart = lineEnd + 2;
    if (size === 0) {
      const isBare = text.startsWith("\r\n", dataStart);
      const end = isBare ? dataStart : text.indexOf("\r\n\r\n", dataStart);
      if (end === -1) return undefined;
      return { answer: { status, head, body }, next: end + (isBare ? 2 : 4) };
    }
    if (text.length < dataStart + size + 2) return undefined;
    body += text.slice(dataStart, dataStart + size);
    at = dataStart + size + 2;
  }
}

export interface Sent {
  readonly bytes: string;
  readonly isHead?: boolean;
}

export interface Conversation {
  /** One for each request that was answered as a whole, in order. */
  readonly answers: readonly Answer[];
  /** What arrived after them. */
  readonly rest: string;
}

/** Longest time one connection may take for all that is sent on it. */
const BOUND_MS = 15_000;

/** How long the last bytes of a connection are given, if nothing comes back: they may be the beginning of something. */
const LINGER_MS = 8;

/**
 * Sends `requests` at once and collects their answers. Then `last`, if given: bytes with any meaning or none, after which
 * our side of the connection is closed. Rejects when the connection outlives {@link BOUND_MS}.
 */
export function converse(port: number, requests: readonly Sent[], last?: string): Promise<Conversation> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const answers: Answer[] = [];
    let text = "";
    let at = 0;
    let hasSentLast = last === undefined;
    let isOver = false;
    const bound = setTimeout(() => {
      socket.destroy();
      const waiting = requests[answers.length]?.bytes ?? last;
      reject(new Error(`hangs: no end within ${BOUND_MS} ms after ${JSON.stringify(waiting)}`));
    }, BOUND_MS);
    const read = (): void => {
      while (answers.length < requests.length) {
        const found = readAnswer(text, at, requests[answers.length]?.isHead === true, isOver);
        if (found === undefined) return;
        answers.push(found.answer);
        at = found.next;
        if (at > 65_536) {
          text = text.slice(at);
          at = 0;
        }
      }
      if (isOver || socket.writableEnded) return;
      if (hasSentLast) {
        if (last === undefined || text.length > at) socket.end();
        return;
      }
      hasSentLast = true;
      socket.write(last ?? "", "latin1");
      setTimeout(() => socket.end(), LINGER_MS);
    };
    const guarded = (): void => {
      try {
        read();
      } catch (error) {
        clearTimeout(bound);
        socket.destroy();
        reject(error);
      }
    };
    socket.setEncoding("latin1");
    socket.on("connect", () => {
      if (requests.length === 0) guarded();
      else socket.write(requests.map(({ bytes }) => bytes).join(""), "latin1");
    });
    socket.on("data", (data: string) => {
      text += data;
      guarded();
    });
    socket.on("end", () => {
      isOver = true;
      guarded();
      socket.end();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(bound);
      isOver = true;
      resolve({ answers, rest: text.slice(at) });
    });
  });
}
