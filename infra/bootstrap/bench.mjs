import { runInForeground } from "./child.mjs";

/** Runs the bench with the given arguments. */
export function bench({ root, node, args }) {
  return runInForeground(node.path, ["test/bench/main.ts", ...args], { cwd: root, env: node.env });
}
