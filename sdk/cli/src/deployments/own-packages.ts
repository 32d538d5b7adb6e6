import { registerHooks } from "node:module";

/** Packages that a project may import before it has installed anything: the CLI brings them. */
const OWN = /^(towpath|zod)(\/|$)/;

/** Whether the CLI can stand in for a package that a project has not installed. */
export function isOwnPackage(specifier: string): boolean {
  return OWN.test(specifier);
}

let registered = false;

/**
 * Lets a project import the SDK and zod from the CLI's own installation where it has none, so that a new project runs
 * before its first `npm install`. What the project has installed wins.
 */
export function lendOwnPackages(): void {
  if (registered) return;
  registered = true;
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (failure) {
        if (!isOwnPackage(specifier)) throw failure;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}
