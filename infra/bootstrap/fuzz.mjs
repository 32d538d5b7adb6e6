import { join } from "node:path";
import { runInForeground } from "./child.mjs";
import { build } from "./turbo.mjs";

/**
 * Sends generated requests to a control plane, made from its OpenAPI document.
 * @returns {Promise<number>} 0 when every answer was one that the document allows
 */
export async function fuzz({ root, node, args }) {
  await build({ root, node });
  const script = join(root, "test", "fuzz", "main.ts");
  return runInForeground(node.path, [script, ...args], { cwd: root, env: node.env });
}
