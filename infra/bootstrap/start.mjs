import { existsSync } from "node:fs";
import { join } from "node:path";
import { runInForeground } from "./child.mjs";
import { build } from "./turbo.mjs";

/** The arguments of `towpath dev` for `npm start`: the examples, with one run of the flights flow. */
export const START_COMMAND = ["sdk/cli/src/main.ts", "dev", "--project", "sdk/examples", "--run", "flights"];

/** Builds what has changed, then runs `towpath dev`. */
export async function start({ root, node, screen, args }) {
  const dashboard = join(root, "services", "dashboard", "dist", "index.html");
  if (existsSync(dashboard)) await build({ root, node });
  else await screen.step("Building the dashboard", () => build({ root, node }));
  const command = [...START_COMMAND, ...args];
  // With a channel, `towpath dev` also stops when this process is killed.
  const stdio = ["inherit", "inherit", "inherit", "ipc"];
  return runInForeground(node.path, command, { cwd: root, env: node.env, stdio });
}
