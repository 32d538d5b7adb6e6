import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** Packages that a project can import before it has installed anything. The CLI provides them. */
const OWN = /^(towpath|zod)(\/|$)/;

/** Whether the CLI can provide a package that a project has not installed. */
export function isOwnPackage(specifier: string): boolean {
  return OWN.test(specifier);
}

let registered = false;

/**
 * Lets a project import the SDK and zod from the CLI's installation, so that a new project runs before its first
 * `npm install`. The project's own packages win.
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

const WARM = "towpath-warm:";

/**
 * Loads what nearly every project imports, from where the project's modules will find it, so that the project loads
 * faster. Failures are ignored: the project's own import reports them.
 */
export async function warmOwnPackages(root: string): Promise<void> {
  lendOwnPackages();
  const parentURL = pathToFileURL(join(root, "package.json")).href;
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier.startsWith(WARM)
        ? next(specifier.slice(WARM.length), { ...context, parentURL })
        : next(specifier, context),
  });
  const names = ["towpath", "towpath/config", "zod"];
  await Promise.allSettled(names.map((name) => import(`${WARM}${name}`)));
  hooks.deregister();
}
