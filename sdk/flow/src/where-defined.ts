import { getCallSites } from "node:util";

/** A position in a source file. */
export interface DefinedAt {
  /** A `file:` URL, or a path for CommonJS modules. */
  readonly file: string;
  readonly line: number;
}

/** Frames above the user's module: this function and the one of this package that calls it. */
const USER_FRAME = 2;

/**
 * The position of the module that declares a flow, task or job. Deploying finds the module's export by it. Null if the
 * engine provides no call site, which no supported Node does.
 */
export function whereDefined(): DefinedAt | null {
  // The loaded file, even if a source map names another: a thread loads it again.
  const site = getCallSites(USER_FRAME + 1, { sourceMap: false })[USER_FRAME];
  return site ? { file: site.scriptName, line: site.lineNumber } : null;
}
