/** What tools beside a flow do with a store; no part of what is published for authors. */
export { StoreFault } from "../problem.ts";
export { openObjects } from "./file-store.ts";
export { type Pruned, pruneStore } from "./prune.ts";
