import { resolve } from "node:path";
import { closest } from "@towpath/contract";
import { EXIT, Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import { type Carry, gather, type Root } from "../program.ts";
import type { Attack } from "./attack.ts";
import { ATTACKS } from "./attacks/index.ts";
import { type Findings, playAttacks } from "./play.ts";
import { remaining } from "./remains.ts";

/** The arguments of `towpath attack`. */
export interface AttackCommand {
  readonly config: string | undefined;
  readonly only: readonly string[];
}

/** The named attacks; all if none is named. @throws Failure for a name that is unknown. */
function chosen(only: readonly string[]): readonly Attack[] {
  if (only.length === 0) return ATTACKS;
  const names = ATTACKS.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown === undefined) return ATTACKS.filter(({ name }) => only.includes(name));
  const near = closest(unknown, names);
  throw new Failure(`There is no attack "${unknown}".`, {
    exit: "usage",
    code: "attack-unknown",
    next: [near === null ? "`towpath attack --list` lists the attacks" : `did you mean ${near}?`],
  });
}

function print({ output }: Invocation, { attacks, requests, capacity }: Findings): void {
  const { style } = output;
  const through = attacks.filter(({ held }) => !held);
  const rest = remaining({ capacity });
  output.data({ attacks, remaining: rest, requests, through: through.length });
  output.table(
    ["ATTACK", "WHAT THE CONTROL PLANE TRIED", "RESULT", "WHY"],
    attacks.map(({ name, tries, held, why }) => [
      name,
      tries,
      held ? style.green("held") : style.red("not held"),
      printable(why),
    ]),
  );
  output.line();
  output.line("What a hostile control plane can still do:");
  for (const { can, limit } of rest) output.line(`- ${can}. Limit: ${limit}.`);
  output.line();
  if (through.length === 0)
    output.line(`${style.green("✓")} ${attacks.length} of ${attacks.length} attacks held`);
  else {
    output.line(`${style.red("✗")} ${through.length} of ${attacks.length} attacks got through`);
    for (const { name } of through) output.next(`\`towpath attack --only ${name}\` repeats it`);
  }
}

/** `towpath attack`: plays a hostile control plane against a worker of its own. @returns 1 if an attack got through. */
export async function attack(invocation: Invocation, command: AttackCommand): Promise<number> {
  const { output, clock, cwd, config } = invocation;
  const configFile = command.config === undefined ? null : resolve(cwd, command.config);
  const findings = await playAttacks(clock, {
    configFile,
    attacks: chosen(command.only),
    environment: config.environment,
    judged: ({ name, held }) => output.note(output.style.dim(`${held ? "held" : "NOT HELD"}  ${name}`)),
  });
  print(invocation, findings);
  return findings.attacks.every(({ held }) => held) ? EXIT.ok : EXIT.failed;
}

function list({ output }: Invocation): void {
  output.data(ATTACKS.map(({ name, tries, fields }) => ({ name, tries, fields })));
  output.table(
    ["ATTACK", "WHAT THE CONTROL PLANE TRIES"],
    ATTACKS.map(({ name, tries }) => [name, tries]),
  );
}

/** Declares `attack`. */
export function declareAttack(root: Root, carry: Carry): void {
  root
    .command("attack")
    .summary("play a hostile control plane against a worker")
    .description(
      "Starts a worker of its own and a hostile control plane on this machine, plays attacks, and prints which of them the worker withstood. With --config, the worker has a copy of that configuration; nothing of the running worker is used or changed. The exit code is 1 if an attack got through.",
    )
    .option("--config <file>", "attack a worker with a copy of this configuration (default: a built-in one)")
    .option("--only <name>", "play only this attack; may be repeated", gather)
    .option("--list", "list the attacks")
    .action(({ config, only = [], list: isList }, command) =>
      carry(command, async (invocation) =>
        isList === true ? list(invocation) : attack(invocation, { config, only }),
      ),
    );
}
