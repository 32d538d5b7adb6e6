import type { Clock } from "../clock.ts";
import { codeTree } from "../deployments/code-tree.ts";
import { Failure, toFailure } from "../failure.ts";
import { type Attack, GROUPS, type Group } from "./attack.ts";
import { sealWorkspace } from "./attacks/sealed.ts";
import { giveWorkspaceKey } from "./attacks/stored.ts";
import { canaryCode } from "./canary.ts";
import { engineCode } from "./engine-flows.ts";
import { prepareGround } from "./ground.ts";
import { trustLedger } from "./own-trust.ts";
import { type Outcome, Stage, type StageDeps } from "./stage.ts";
import { broken, held, type Verdict } from "./verdict.ts";

/** One row of the report. */
export interface Played extends Verdict {
  readonly name: string;
  readonly tries: string;
  readonly tookMs: number;
}

/** What was found. */
export interface Findings {
  readonly attacks: readonly Played[];
  /** How many requests the workers sent. */
  readonly requests: number;
  /** How many runs the worker executes at once, by its own words. */
  readonly capacity: number;
}

/** What to play. */
export interface PlayArgs {
  /** The configuration of the worker; null: a built-in one. */
  readonly configFile: string | null;
  readonly attacks: readonly Attack[];
  readonly environment: StageDeps["environment"];
  /** Called when an attack was judged. */
  readonly judged?: (played: Played) => void;
}

/** The last row: a worker that runs nothing any more has not withstood the attacks. */
const STILL_WORKS = {
  name: "honest-run-after",
  tries: "Stops lying, and gives each worker an honest run",
} as const;

/** The back-off that the attacks on a worker's pace meet: that of a worker without settings. */
const REFUSALS_IN_ROW = 5;
/** The longest time of one attack, milliseconds. */
const ATTACK_MS = 120_000;

/** Plays attacks in a temporary folder. @throws Failure when a worker cannot be started, or does not run honest code. */
export async function playAttacks(clock: Clock, args: PlayArgs): Promise<Findings> {
  const groups = GROUPS.filter((group) => args.attacks.some((one) => one.group === group));
  const hasEngines = groups.includes("engines") || groups.includes("sealed");
  const code = codeTree([...canaryCode(), ...(hasEngines ? await engineCode() : [])]);
  const ground = await prepareGround(clock, { configFile: args.configFile, code });
  try {
    const deps = { clock, ground, environment: args.environment };
    const beganMs = clock.nowMs();
    const parts = await Promise.all(groups.map((group) => playGroup(deps, group, args)));
    const faults = parts.flatMap(({ after }) => after);
    const last = faults.length === 0 ? held("each worker ran it") : broken(faults.join("; "));
    const rows = parts.flatMap(({ attacks }) => attacks);
    const placeOf = ({ name }: Played) => args.attacks.findIndex((one) => one.name === name);
    const still = { ...STILL_WORKS, ...last, tookMs: clock.nowMs() - beganMs };
    args.judged?.(still);
    return {
      attacks: [...rows.sort((a, b) => placeOf(a) - placeOf(b)), still],
      requests: parts.reduce((sum, { requests }) => sum + requests, 0),
      capacity: Math.max(...parts.map(({ capacity }) => capacity)),
    };
  } finally {
    await ground.remove();
  }
}

async function playGroup(
  deps: StageDeps,
  group: Group,
  args: PlayArgs,
): Promise<Findings & { readonly after: readonly string[] }> {
  const stage = new Stage(deps, group);
  const attacks = args.attacks.filter((one) => one.group === group);
  try {
    if (group === "settings") await trustLedger(stage);
    if (group === "stored") await giveWorkspaceKey(stage);
    if (group === "sealed") await sealWorkspace(stage);
    if (group === "pace") stage.settings = { ...stage.settings, refusalsInRow: REFUSALS_IN_ROW };
    await stage.open();
    const before = await honestRun(stage, `honest-before-${group}`);
    if (!before.ran)
      throw new Failure(
        `The worker does not run honest code either, so nothing can be judged: ${before.why}`,
        {
          exit: "configuration",
          code: "no-honest-run",
          next: ["`towpath doctor --config FILE` checks a worker's configuration"],
        },
      );
    const rows: Played[] = [];
    const play = async (attack: Attack) => {
      const played = await judge(stage, attack);
      args.judged?.(played);
      rows.push(played);
    };
    await Promise.all(attacks.filter(({ isAlone }) => isAlone !== true).map(play));
    for (const attack of attacks.filter(({ isAlone }) => isAlone === true)) await play(attack);
    const after = await honestRun(stage, `honest-after-${group}`).catch((thrown: unknown) => ({
      ran: false,
      why: toFailure(thrown).message,
    }));
    return {
      attacks: rows,
      after: after.ran ? [] : [`group ${group}: ${after.why}`],
      requests: stage.liar.asked.length,
      capacity: Number(stage.liar.introduced.capacity),
    };
  } finally {
    await stage.close();
  }
}

async function honestRun(stage: Stage, marker: string): Promise<Outcome> {
  const spec = stage.sign(stage.spec(marker));
  await stage.record(spec);
  return await stage.give(stage.assignment(spec, { deployment: marker }), marker);
}

/** Rejects when an attack has taken too long. The timer keeps no process alive. */
function tooLong(): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () =>
      reject(new Failure(`The worker did not react within ${ATTACK_MS / 1000} s.`, { exit: "failed" }));
    setTimeout(fail, ATTACK_MS).unref();
  });
}

async function judge(stage: Stage, attack: Attack): Promise<Played> {
  const { name, tries } = attack;
  const { clock } = stage.deps;
  const beganMs = clock.nowMs();
  const played = Promise.race([attack.play(stage), tooLong()]);
  const verdict = await played.catch((thrown: unknown) => broken(toFailure(thrown).message));
  // An attack that ends the worker got through. The others are played against a new one.
  if (!stage.isAlive) await stage.startWorker();
  return { name, tries, ...verdict, tookMs: clock.nowMs() - beganMs };
}
