import { asError, invalidCallbackResult } from "../errors.ts";

/** A callback of an option threw, or answered something that is no answer. The call is served without the cache. */
export class CallbackFault {
  readonly callback: string;
  readonly error: Error;

  constructor(callback: string, error: Error) {
    this.callback = callback;
    this.error = error;
  }
}

/** What a callback returned. @throws CallbackFault for what it threw */
export function resultOf<T>(callback: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new CallbackFault(callback, asError(error));
  }
}

/** @throws TypeError `ERR_INVALID_CALLBACK_RESULT` for anything but true and false: it must never count as a yes */
export function yesOrNo(where: string, answer: unknown): boolean {
  if (typeof answer === "boolean") return answer;
  throw noAnswer(where, "true or false", answer);
}

/** The error for an answer that is none. */
export function noAnswer(where: string, expected: string, answer: unknown): Error {
  return invalidCallbackResult(where, expected, answer);
}
