import type { Client } from "@towpath/client";
import { deploymentPartsOf, LIMITS, type Limit, type Notifier } from "@towpath/contract";
import type { DeployOutcome } from "towpath/deploy";

/** At most this many pages of notifiers are read. */
const PAGES_MAX = 20;

/** A deployment that was registered for the first time with a stage, and its name without it. */
interface FirstStaged {
  readonly name: string;
  readonly unstaged: string;
}

/** Schedules that start the same work a second time. */
async function scheduleWarnings(client: Client, { name, unstaged }: FirstStaged): Promise<string[]> {
  const { items } = await client.listSchedules({
    query: { deployment: unstaged, limit: LIMITS.pageRows },
  });
  return items
    .filter(({ paused }) => !paused)
    .map(
      (one) =>
        `${unstaged} without a stage has a schedule "${one.name}" of its own, which still starts runs. If ${name} replaces it, run \`towpath schedule pause ${unstaged}@ ${one.name}\`.`,
    );
}

/** The arguments of `towpath limit set` for a limit like this one. */
function limitWords({ slots, perMs, collision }: Limit): string {
  const amount = perMs === null ? `${slots}` : `--rate ${slots}/${perMs}ms`;
  return collision === "enqueue" ? amount : `${amount} --collision ${collision}`;
}

/** Limits that people set for the deployment without a stage. Those of the code are set for the new one too. */
async function limitWarnings(client: Client, { name, unstaged }: FirstStaged): Promise<string[]> {
  const query = { kind: "deployment", name: unstaged, limit: LIMITS.pageRows } as const;
  const { items } = await client.listLimits({ query });
  return items
    .filter((one) => one.kind === "deployment" && one.name === unstaged && one.source === "person")
    .map(
      (one) =>
        `The limit of ${unstaged} without a stage does not apply to ${name}. To limit ${name}, run \`towpath limit set ${name} ${limitWords(one)} --kind deployment\`.`,
    );
}

async function allNotifiers(client: Client): Promise<readonly Notifier[]> {
  const found: Notifier[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await client.listNotifiers({
      query: { limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) },
    });
    found.push(...page.items);
    if (page.next === null) break;
    cursor = page.next;
  }
  return found;
}

function notifierWarnings(notifiers: readonly Notifier[], { name, unstaged }: FirstStaged): string[] {
  return notifiers
    .filter(({ deployment }) => deployment === unstaged)
    .map(
      (one) =>
        `The notifier "${one.name}" reports runs of ${unstaged} without a stage, and none of ${name}. To report those, run \`towpath notify add NAME URL --deployment ${name}\`.`,
    );
}

/**
 * What still names the deployment without a stage when a deployment with a stage is new: schedules, limits and notifiers.
 * Each is a sentence with its next step. Before stages were part of the name, these were of every stage.
 */
export async function unstagedWarnings(
  client: Client,
  outcomes: readonly DeployOutcome[],
): Promise<string[]> {
  const first = outcomes
    .filter(({ version, deployment }) => version === 1 && deployment.includes("@"))
    .map(({ deployment: name }) => ({ name, unstaged: deploymentPartsOf(name).deployment }));
  if (first.length === 0) return [];
  const notifiers = await allNotifiers(client);
  const warnings = await Promise.all(
    first.map(async (one) => [
      ...(await scheduleWarnings(client, one)),
      ...(await limitWarnings(client, one)),
      ...notifierWarnings(notifiers, one),
    ]),
  );
  return warnings.flat();
}
