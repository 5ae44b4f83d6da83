import { isInnerList, parseDictionary, parseList } from "structured-headers";
import type { BareItem, Dictionary, InnerList, Item } from "structured-headers";

import type { Fields } from "../http.ts";
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

/** The value of an Item, or those of an Inner List, without their parameters. @internal */
export function valuesOf(member: Item | InnerList): readonly BareItem[] {
  return isInnerList(member) ? member[0].map(([value]) => value) : [member[0]];
}

/** All parameters of a member, those within an Inner List as well. @internal */
export function parametersOf(member: Item | InnerList): readonly (readonly [string, BareItem])[] {
  const inner = isInnerList(member) ? member[0].flatMap(([, parameters]) => [...parameters]) : [];
  return [...inner, ...member[1]];
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
