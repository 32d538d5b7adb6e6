import { type Carry, type Root, rootCommand } from "./program.ts";

/** The exit codes, for the reference. */
export { EXIT } from "./failure.ts";

/** Commands that one module declares. */
interface Group {
  /** Their names and aliases. */
  readonly names: readonly string[];
  load(): Promise<(root: Root, carry: Carry) => void>;
}

/**
 * In the order of `towpath --help`. A group is loaded when it is used: all of them take twice as long to load as
 * most commands take.
 */
export const GROUPS: readonly Group[] = [
  { names: ["dev"], load: async () => (await import("./dev/dev.ts")).declareDev },
  {
    names: ["init", "deploy", "deployments"],
    load: async () => (await import("./deployments/declare.ts")).declareDeployments,
  },
  { names: ["ledger"], load: async () => (await import("./deployments/ledger-commands.ts")).declareLedger },
  {
    names: ["run", "rerun", "diff", "why", "waits", "answer", "event", "runs"],
    load: async () => (await import("./runs/declare.ts")).declareRuns,
  },
  {
    names: ["schedule", "backfill"],
    load: async () => (await import("./schedules/declare.ts")).declareSchedules,
  },
  { names: ["limit"], load: async () => (await import("./limits/declare.ts")).declareLimits },
  { names: ["notify"], load: async () => (await import("./notify/declare.ts")).declareNotify },
  { names: ["logs"], load: async () => (await import("./logs/declare.ts")).declareLogs },
  { names: ["open"], load: async () => (await import("./identity/sign-in.ts")).declareOpen },
  { names: ["view"], load: async () => (await import("./view/commands.ts")).declareView },
  { names: ["pool", "queue"], load: async () => (await import("./pools/declare.ts")).declarePools },
  { names: ["login", "whoami"], load: async () => (await import("./identity/login.ts")).declareLogin },
  {
    names: ["profiles", "profile"],
    load: async () => (await import("./identity/profiles.ts")).declareProfiles,
  },
  { names: ["key"], load: async () => (await import("./identity/declare.ts")).declareIdentity },
  { names: ["workspace"], load: async () => (await import("./identity/workspace.ts")).declareWorkspace },
  { names: ["sessions"], load: async () => (await import("./identity/sessions.ts")).declareSessions },
  { names: ["worker", "wire"], load: async () => (await import("./worker/declare.ts")).declareWorker },
  { names: ["store"], load: async () => (await import("./store/prune.ts")).declareStore },
  { names: ["server"], load: async () => (await import("./server/declare.ts")).declareServer },
  { names: ["doctor"], load: async () => (await import("./doctor/commands.ts")).declareDoctor },
  {
    names: ["chaos", "chaos-attempt"],
    load: async () => (await import("./chaos/commands.ts")).declareChaos,
  },
  { names: ["attack"], load: async () => (await import("./attack/commands.ts")).declareAttack },
  { names: ["demo"], load: async () => (await import("./demo/seed.ts")).declareDemo },
  { names: ["completion"], load: async () => (await import("./completion/declare.ts")).declareCompletion },
];

/** These commands read all others. */
const READS_ALL: readonly (string | undefined)[] = ["completion"];

/**
 * The whole command, `towpath`.
 * @param first the first word of the command line: if it is the name of a command, the command has only the group of that name
 */
export async function towpath(carry: Carry, first?: string): Promise<Root> {
  const root = rootCommand();
  const named = READS_ALL.includes(first) ? [] : GROUPS.filter(({ names }) => names.includes(first ?? ""));
  const declarations = await Promise.all((named.length > 0 ? named : GROUPS).map(({ load }) => load()));
  for (const declare of declarations) declare(root, carry);
  return root;
}
