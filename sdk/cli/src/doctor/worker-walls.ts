import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { z } from "zod";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import { bad, type Check, good } from "./checks.ts";

/** The answer of the worker's program. */
const Walls = z.object({
  wall: z.enum(["none", "users", "namespaces", "both"]),
  why: z.string(),
  missing: z.string().nullable(),
  privateKeys: z.array(z.string()),
});

/** What each wall means for runs. */
const MEANINGS = {
  none: "all runs of this worker are one trust domain: they can read its key and the data of each other",
  users: "each attempt has a user of its own",
  namespaces: "each attempt sees only its own processes and files",
  both: "each attempt has a user of its own, and sees only its own processes and files",
} as const;

/** Asks the worker's program which wall it would have here, as this user. Null: it did not answer. */
async function askWorker(invocation: Invocation, file: string): Promise<z.infer<typeof Walls> | null> {
  const child = spawn(process.execPath, programArguments("worker", "walls", "--config", file), {
    stdio: ["ignore", "pipe", "ignore"],
    env: invocation.config.environment,
  });
  const [printed] = await Promise.all([text(child.stdout), once(child, "close")]);
  try {
    return Walls.parse(JSON.parse(printed));
  } catch {
    return null;
  }
}

/** Says which wall separates the runs of a worker, and whether a private signing key lies where the worker can read it. */
export async function checkWalls(invocation: Invocation, file: string): Promise<Check[]> {
  const found = await askWorker(invocation, file);
  if (found === null)
    return [
      bad(
        "wall",
        "it is unknown",
        `\`towpath worker start --config ${file}\` names the faults of the configuration`,
      ),
    ];
  const { wall, why, missing, privateKeys } = found;
  const detail = `${wall}: ${MEANINGS[wall]}${why === "" ? "" : ` (${why})`}`;
  return [
    missing === null
      ? good("wall", detail)
      : bad(
          "wall",
          `"${missing}" requires a wall that cannot stand here: ${why}`,
          `remove this reason, or change \`${missing}\``,
        ),
    ...privateKeys.map((path) =>
      bad(
        "signing key",
        `this user can read the private key ${path}, which a worker never needs`,
        "move it to the machine that deploys: its holder decides what workers run",
      ),
    ),
  ];
}
