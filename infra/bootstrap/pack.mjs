import { join } from "node:path";
import { runInForeground } from "./child.mjs";
import { build } from "./turbo.mjs";

/**
 * Builds the published package and prints the tarball's path.
 * @returns {Promise<number>} 0 on success
 */
export async function pack({ root, node, screen, args }) {
  await screen.step("Building", () => build({ root, node }));
  const script = join(root, "infra", "package", "pack.ts");
  return runInForeground(node.path, [script, ...args], { cwd: root, env: node.env });
}
