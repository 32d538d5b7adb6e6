import { type ChildProcess, spawn } from "node:child_process";
import type { DeployReport } from "towpath/deploy";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import { withoutConnection } from "./control.ts";

/** The most output of the child that is kept, characters. */
const OUTPUT_CHARS_MAX = 4 * 1024 * 1024;

/** The result of one more deploy. */
export type Redeploy =
  | { readonly ok: true; readonly report: DeployReport }
  | { readonly ok: false; readonly text: string };

/** Deploys a project repeatedly. */
export interface Redeployer {
  deploy(): Promise<Redeploy>;
  /** Prepares the next deploy, if it is not prepared. Call it when the user waits for nothing. */
  prepare(): void;
  close(): void;
}

/** The project, its state folder, and the control plane. */
interface Deployed {
  readonly connection: { readonly url: string; readonly key: string };
  readonly root: string;
  readonly state: string;
  readonly stage?: string | undefined;
}

/** A deploy process that is loaded and waits for its start. */
interface Standby {
  readonly child: ChildProcess;
  readonly ended: Promise<Redeploy>;
}

/** The report in a deploy's output. It has none if a module of the project ends the process. */
function reportIn(stdout: string): Redeploy {
  try {
    return { ok: true, report: JSON.parse(stdout) };
  } catch {
    return {
      ok: false,
      text: "The deploy ended without a report. A file of the project may end the process.",
    };
  }
}

function standBy(invocation: Invocation, options: Deployed): Standby {
  const stage = options.stage === undefined ? [] : ["--stage", options.stage];
  const args = [
    "deploy",
    "--when-told",
    "--yes",
    "--project",
    options.root,
    "--state",
    options.state,
    "--json",
    ...stage,
  ];
  const child = spawn(process.execPath, programArguments("cli", ...args), {
    cwd: invocation.cwd,
    env: {
      ...withoutConnection(invocation),
      TOWPATH_URL: options.connection.url,
      TOWPATH_KEY: options.connection.key,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const keep = (name: keyof typeof output) => (chunk: string) => {
    if (output[name].length < OUTPUT_CHARS_MAX) output[name] += chunk;
  };
  child.stdout.setEncoding("utf8").on("data", keep("stdout"));
  child.stderr.setEncoding("utf8").on("data", keep("stderr"));
  // The process may have ended already. Its exit code tells why.
  child.stdin.on("error", () => undefined);
  const { promise: ended, resolve } = Promise.withResolvers<Redeploy>();
  child.once("error", (error) => resolve({ ok: false, text: error.message }));
  child.once("close", (code) =>
    resolve(code === 0 ? reportIn(output.stdout) : { ok: false, text: output.stderr }),
  );
  return { child, ended };
}

/**
 * Deploys a project in a new process each time, because a process never reloads changed modules. A faulty configuration
 * cannot harm us. The next process is started ahead and has our own modules loaded, which is most of a deploy's time.
 */
export function openRedeployer(invocation: Invocation, args: Deployed): Redeployer {
  let next: Standby | undefined;
  let isClosed = false;
  const prepare = () => {
    if (!isClosed && (next === undefined || next.child.exitCode !== null)) next = standBy(invocation, args);
  };
  return {
    prepare,
    async deploy() {
      prepare();
      const standby = next;
      next = undefined;
      if (standby === undefined) return { ok: false, text: "stopping" };
      standby.child.stdin?.end("deploy\n");
      return await standby.ended;
    },
    close() {
      isClosed = true;
      next?.child.kill();
      next = undefined;
    },
  };
}
