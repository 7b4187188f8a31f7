// Where Node finds the modules of the page, which import each other by the addresses that a browser asks for.

export function resolve(specifier, context, next) {
  if (!specifier.startsWith("/assets/")) {
    return next(specifier, context);
  }
  const url = new URL(`../../static/${specifier.slice("/assets/".length)}`, import.meta.url);
  return { url: url.href, format: "module", shortCircuit: true };
}
