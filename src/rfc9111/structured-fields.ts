import { isInnerList, parseDictionary, parseList } from "structured-headers";
import type { Dictionary, InnerList, Item } from "structured-headers";

import type { Fields } from "../types.ts";
import { fieldValue } from "./fields.ts";

/**
 * The members of a Dictionary field by key, or `undefined` when it is absent or malformed: one wrong character
 * invalidates all its lines (RFC 9651 §4.2). @internal
 */
export function dictionaryField(fields: Fields, name: string): Dictionary | undefined {
  const value = fieldValue(fields, name);
  if (value === undefined) return undefined;
  try {
    return parseDictionary(value);
  } catch {
    return undefined;
  }
}

/** The Strings of a List field without their parameters, or `undefined` when it is anything else. @internal */
export function stringListField(fields: Fields, name: string): readonly string[] | undefined {
  const value = fieldValue(fields, name);
  if (value === undefined) return undefined;
  try {
    return strings(parseList(value));
  } catch {
    return undefined;
  }
}

/** The Strings of an Inner List without their parameters, or `undefined` when `member` is anything else. @internal */
export function innerStrings(member: Item | InnerList): readonly string[] | undefined {
  return isInnerList(member) ? strings(member[0]) : undefined;
}

/** The value of an Item without its parameters, or `undefined` for an Inner List. @internal */
export function bareItem(member: Item | InnerList): unknown {
  return isInnerList(member) ? undefined : member[0];
}

function strings(members: readonly (Item | InnerList)[]): readonly string[] | undefined {
  const values: string[] = [];
  for (const member of members) {
    const value = bareItem(member);
    if (typeof value !== "string") return undefined;
    values.push(value);
  }
  return values;
}
