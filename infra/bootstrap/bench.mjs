import { runInForeground } from "./child.mjs";

/** The figures of Towpath beside another's; all arguments go to the bench. */
export function bench({ root, node, args }) {
  return runInForeground(node.path, ["test/bench/main.ts", ...args], { cwd: root, env: node.env });
}
