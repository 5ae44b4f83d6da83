/** Answers of the proxy itself, as problem details (RFC 9457). */

import { STATUS_CODES, type ServerResponse } from "node:http";

/** An answer the proxy gives in place of the upstream. */
export interface Problem {
  readonly status: number;
  /** One sentence, without addresses or other internals. */
  readonly detail: string;
  /** True when nothing more can be read from this connection with certainty. */
  readonly close?: boolean;
  /** Further fields, name, value, … */
  readonly fields?: readonly string[];
}

/** Writes `problem` as `application/problem+json`; nobody stores it. */
export function writeProblem(response: ServerResponse, problem: Problem): void {
  const body = problemBody(problem);
  if (problem.close === true) response.shouldKeepAlive = false;
  response.writeHead(problem.status, [...(problem.fields ?? []), ...problemFields(body)]);
  response.end(body);
}

/** The same as bytes of HTTP/1.1, for a connection that has no response object. */
export function problemMessage(problem: Problem): string {
  const body = problemBody(problem);
  const fields = [...(problem.fields ?? []), ...problemFields(body), "Connection", "close"];
  return messageHead(problem.status, STATUS_CODES[problem.status] ?? "", fields) + body;
}

/** A response head as it is sent. Write it as latin1. */
export function messageHead(status: number, reason: string, fields: readonly string[]): string {
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let at = 0; at + 1 < fields.length; at += 2) head += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return `${head}\r\n`;
}

function problemBody({ status, detail }: Problem): string {
  return JSON.stringify({ type: "about:blank", title: STATUS_CODES[status] ?? "Error", status, detail });
}

function problemFields(body: string): string[] {
  return [
    "Content-Type",
    "application/problem+json",
    "Content-Length",
    String(Buffer.byteLength(body)),
    "Cache-Control",
    "no-store",
  ];
}
