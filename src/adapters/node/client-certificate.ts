/** The parts of a TLS socket of Node that tell of a client's certificate. */
interface CertifiedSocket {
  readonly authorized?: boolean;
  getPeerCertificate?(): object | null;
}

/** Connections on which a certificate was seen: reading one is not cheap. */
const certified = new WeakSet<object>();

/**
 * True when the client of this connection showed a certificate, whether it is trusted or not: a server that takes untrusted
 * ones (`rejectUnauthorized: false`) judges them itself.
 */
export function hasClientCertificate(socket: unknown): boolean {
  if (typeof socket !== "object" || socket === null) return false;
  const connection: CertifiedSocket = socket;
  if (connection.authorized === true || certified.has(socket)) return true;
  const certificate = connection.getPeerCertificate?.();
  if (certificate === null || certificate === undefined || Object.keys(certificate).length === 0) return false;
  certified.add(socket);
  return true;
}

/**
 * The same of a request that a server on Node or Workers made a `Request` of.
 *
 * @param env what the server gives beside the request: `{ incoming }` with `@hono/node-server`
 */
export function showsClientCertificate(request: Request, env: unknown): boolean {
  const { cf } = request as { cf?: { tlsClientAuth?: { certPresented?: unknown } } };
  if (cf?.tlsClientAuth?.certPresented === "1") return true;
  const incoming = (env as { incoming?: { socket?: { encrypted?: boolean } } } | null | undefined)?.incoming;
  return incoming?.socket?.encrypted === true && hasClientCertificate(incoming.socket);
}
