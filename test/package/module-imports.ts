/** One import of a module, as written. */
export interface ModuleImport {
  readonly specifier: string;
  /** True for `import("…")` in code, which loads nothing until it is called. */
  readonly dynamic: boolean;
}

const BLOCK_COMMENT = /\/\*[\s\S]*?\*\//g;
const LINE_COMMENT = /^\s*\/\/.*$/gm;
const STATIC_IMPORT = /^(?:import|export)\s(?:[\w$*\s{},]*?\bfrom\s*)?"([^"]+)";?$/gm;
const DYNAMIC_IMPORT = /\bimport\(\s*([^)]*?)\s*\)/g;

/**
 * Every import of a module in the project's own formatting: statements start a line and use double quotes.
 *
 * In a declaration file, `import("x")` is a type and counts as static. A specifier that is not a literal is returned as
 * the text between the parentheses, so no list of permitted specifiers contains it.
 */
export function moduleImports(text: string, { declarations = false } = {}): readonly ModuleImport[] {
  const code = text.replace(BLOCK_COMMENT, "").replace(LINE_COMMENT, "");
  const statics = [...code.matchAll(STATIC_IMPORT)].map(([, specifier = ""]) => ({ specifier, dynamic: false }));
  const calls = [...code.matchAll(DYNAMIC_IMPORT)].map(([, argument = ""]) => ({
    specifier: /^"[^"]+"$/.test(argument) ? argument.slice(1, -1) : argument,
    dynamic: !declarations,
  }));
  return [...statics, ...calls];
}
