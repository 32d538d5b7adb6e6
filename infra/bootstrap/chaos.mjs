import { join } from "node:path";
import { runInForeground } from "./child.mjs";
import { build } from "./turbo.mjs";

/**
 * Runs the matrix of faults.
 * @returns {Promise<number>} 0 if every invariant holds in every case
 */
export async function chaos({ root, node, args }) {
  await build({ root, node });
  const script = join(root, "test", "chaos", "main.ts");
  return runInForeground(node.path, [script, ...args], { cwd: root, env: node.env });
}
