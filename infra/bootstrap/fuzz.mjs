import { join } from "node:path";
import { runInForeground } from "./child.mjs";
import { build } from "./turbo.mjs";

/**
 * Sends generated requests, made from the OpenAPI document, to a control plane.
 * @returns {Promise<number>} 0 if the document allows every answer
 */
export async function fuzz({ root, node, args }) {
  await build({ root, node });
  const script = join(root, "test", "fuzz", "main.ts");
  return runInForeground(node.path, [script, ...args], { cwd: root, env: node.env });
}
