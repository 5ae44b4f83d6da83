/** Resolves `undici` for a suite that has none installed. */
export async function resolve(specifier, context, next) {
  if (specifier !== "undici") return next(specifier, context);
  try {
    return await next(specifier, context);
  } catch {
    return next(specifier, { ...context, parentURL: import.meta.url });
  }
}
