import { spawn } from "node:child_process";
import type { DeployReport } from "../deployments/deploy.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";

/** How much of the child's output is kept, characters. */
const OUTPUT_CHARS_MAX = 4 * 1024 * 1024;

/** What came of deploying again. */
export type Redeploy =
  | { readonly ok: true; readonly report: DeployReport }
  | { readonly ok: false; readonly text: string };

/**
 * Deploys a project in a process of its own: modules that are loaded once stay as they were, so that changed sources
 * need a fresh one, and a faulty configuration cannot harm us.
 */
export function redeploy(invocation: Invocation, a: { root: string; state: string }): Promise<Redeploy> {
  return new Promise((resolve) => {
    const { TOWPATH_URL: _url, TOWPATH_KEY: _key, ...environment } = invocation.config.environment;
    const child = spawn(
      process.execPath,
      programArguments("cli", "deploy", "--project", a.root, "--state", a.state, "--json"),
      { cwd: invocation.cwd, env: environment, stdio: ["ignore", "pipe", "pipe"] },
    );
    const output = { stdout: "", stderr: "" };
    const keep = (name: keyof typeof output) => (chunk: string) => {
      if (output[name].length < OUTPUT_CHARS_MAX) output[name] += chunk;
    };
    child.stdout.setEncoding("utf8").on("data", keep("stdout"));
    child.stderr.setEncoding("utf8").on("data", keep("stderr"));
    child.once("error", (error) => resolve({ ok: false, text: error.message }));
    child.once("close", (code) =>
      resolve(
        code === 0 ? { ok: true, report: JSON.parse(output.stdout) } : { ok: false, text: output.stderr },
      ),
    );
  });
}
