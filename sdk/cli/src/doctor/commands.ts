import { EXIT } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { Carry, Root } from "../program.ts";
import {
  type Check,
  checkFolder,
  checkGit,
  checkNode,
  checkPools,
  checkProfiles,
  checkRestored,
  checkServer,
  checkSigning,
  checkWaiting,
  hasState,
} from "./checks.ts";
import { checkProject } from "./project.ts";
import { checkWorkerFile } from "./worker-file.ts";

async function runChecks(invocation: Invocation): Promise<Check[]> {
  const folder = await invocation.folder();
  const { checks, connection } = await checkServer(invocation);
  const pools = connection
    ? [
        await checkPools(connection.client),
        ...(await checkWaiting(connection.client)),
        ...(await checkRestored(connection.client)),
      ]
    : [];
  const project = await checkProject(invocation, { folder, client: connection?.client ?? null });
  const local: Check[] = [];
  if (await hasState(folder)) {
    if (project.length === 0) local.push(await checkFolder("code registry", folder.registry));
    local.push(await checkFolder("store", folder.store));
  }
  return [
    checkNode(process.versions.node),
    await checkGit(invocation),
    ...(await checkProfiles(invocation)),
    ...checks,
    ...pools,
    await checkSigning(invocation, folder),
    ...project,
    ...local,
  ];
}

/** `towpath doctor [--config FILE]`: one line for each check, with its fix. @returns 1 if a check failed. */
export async function doctor(invocation: Invocation, config?: string): Promise<number> {
  const { output } = invocation;
  const { style } = output;
  const checks =
    config === undefined
      ? await runChecks(invocation)
      : [checkNode(process.versions.node), ...(await checkWorkerFile(invocation, config))];
  output.data({ checks });
  for (const { name, ok, detail, fix } of checks) {
    output.line(
      `${ok ? style.green("✓") : style.red("✗")} ${name.padEnd(13)} ${ok ? style.dim(detail) : detail}`,
    );
    if (fix) output.next(fix);
  }
  return checks.every(({ ok }) => ok) ? EXIT.ok : EXIT.failed;
}

/** Declares `doctor`. */
export function declareDoctor(root: Root, carry: Carry): void {
  root
    .command("doctor")
    .summary("find faults in the set-up and how to fix them")
    .description(
      "Checks the profiles, server, key, clock, pools, signing key, registry and store. Says how to fix each fault. The exit code is 1 if there is a fault.",
    )
    .option(
      "--config <file>",
      "check this worker configuration instead; run it on the worker's machine, as the worker's user",
    )
    .action(({ config }, command) => carry(command, (invocation) => doctor(invocation, config)));
}
