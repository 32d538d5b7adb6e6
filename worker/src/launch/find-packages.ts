import { createRequire, isBuiltin, registerHooks } from "node:module";
import { join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { addToEnvironment } from "./config.ts";

/** The variable that names the folder for threads of the run. */
const PACKAGES = "TOWPATH_PACKAGES";
/** A package, and not a path, an address or an import of the package itself. */
const PACKAGE = /^(?:@[a-z0-9~-][^/]*\/)?[a-z0-9~][^:]*$/i;

/**
 * Lets a flow's code import packages that lie in another folder. Node looks for packages beside the code and above it, where a
 * worker has none.
 */
export function findPackages({ codeDir, packages }: { codeDir: string; packages: string }): void {
  addToEnvironment({ [PACKAGES]: packages });
  const code = pathToFileURL(codeDir + sep).href;
  const parentURL = pathToFileURL(join(packages, "package.json")).href;
  const required = createRequire(parentURL);
  registerHooks({
    resolve(specifier, context, next) {
      const isOurs = context.parentURL?.startsWith(code) && PACKAGE.test(specifier) && !isBuiltin(specifier);
      if (!isOurs) return next(specifier, context);
      try {
        // `require` ignores another parent.
        return context.conditions.includes("require")
          ? next(required.resolve(specifier), context)
          : next(specifier, { ...context, parentURL });
      } catch {
        // The error for the code's own module says where it is imported.
        return next(specifier, context);
      }
    },
  });
}

/**
 * The same for a program of its own: the address of a module for Node's `--import`. It needs no file, because an attempt may see
 * none of the worker's. A Node without such hooks ignores it.
 */
export function packagesPreload({ codeDir, packages }: { codeDir: string; packages: string }): string {
  const facts = {
    code: pathToFileURL(codeDir + sep).href,
    parentURL: pathToFileURL(join(packages, "package.json")).href,
  };
  const text = `import * as module from "node:module";
const { code, parentURL } = ${JSON.stringify(facts)};
const PACKAGE = new RegExp(${JSON.stringify(PACKAGE.source)}, "i");
const required = module.createRequire(parentURL);
module.registerHooks?.({
  resolve(specifier, context, next) {
    const isOurs = context.parentURL?.startsWith(code) && PACKAGE.test(specifier) && !module.isBuiltin(specifier);
    if (!isOurs) return next(specifier, context);
    try {
      return context.conditions.includes("require")
        ? next(required.resolve(specifier), context)
        : next(specifier, { ...context, parentURL });
    } catch {
      return next(specifier, context);
    }
  },
});`;
  return `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
}
