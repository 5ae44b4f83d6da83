/** What the results of a function are called in a purge log. Tags begin with `#`, routes with `@`, functions with `(`. */

/** All results of a function. */
export function functionName(name: string): string {
  return `(${name}`;
}

/** The results of one call, whatever class of `this` is in their keys. */
export function callName(name: string, key: string): string {
  return functionName(name) + argumentsOf(key);
}

/** All results of the methods of this name, whatever their classes. */
export function methodName(method: string): string {
  return `(.${method}`;
}

/** Neither prefix, name nor class has a bracket of this kind. */
function argumentsOf(key: string): string {
  return key.slice(key.indexOf("("));
}

/** The results of one call of the methods of this name. */
export function methodCallName(method: string, key: string): string {
  return methodName(method) + argumentsOf(key);
}
