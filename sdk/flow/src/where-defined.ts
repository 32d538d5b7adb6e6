import { getCallSites } from "node:util";

/** A place in a source file. */
export interface DefinedAt {
  /** A `file:` URL, or a path for CommonJS modules. */
  readonly file: string;
  readonly line: number;
}

/** This function, the function of ours that calls it, and then the user's module. */
const USER_FRAME = 2;

/**
 * Where the caller of our caller stands: the module that declares a flow. Deploying finds the module's export by it.
 * Null when the engine cannot tell, which no supported Node does.
 */
export function whereDefined(): DefinedAt | null {
  // The file that was loaded, also where a source map knows another: a thread loads it again.
  const site = getCallSites(USER_FRAME + 1, { sourceMap: false })[USER_FRAME];
  return site ? { file: site.scriptName, line: site.lineNumber } : null;
}
