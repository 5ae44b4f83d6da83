import type { IncomingMessage } from "node:http";

/**
 * The content of a request, which the handler can still read; `undefined` when it is of unknown length, too large, or
 * read already.
 */
export function contentOf(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> {
  const declared = request.headers["content-length"] ?? "0";
  const isKnown = /^\d+$/.test(declared) && request.headers["transfer-encoding"] === undefined;
  const lengthBytes = Number(declared);
  if (!isKnown || lengthBytes > maxBytes || request.readableEnded) return Promise.resolve(undefined);
  if (lengthBytes === 0) return Promise.resolve(new Uint8Array(0));
  return new Promise((resolve) => {
    const settle = (content: Uint8Array | undefined): void => {
      request.off("readable", onReadable).off("close", onClose);
      resolve(content);
    };
    const onReadable = (): void => {
      const bytes = request.read(lengthBytes) as Buffer | null;
      if (bytes === null) return;
      // Back to where it was, before the stream can end.
      request.unshift(bytes);
      settle(new Uint8Array(bytes));
    };
    const onClose = (): void => settle(undefined);
    request.on("readable", onReadable).on("close", onClose);
  });
}
