import { access, constants, mkdir, stat } from "node:fs/promises";
import type { Client } from "@towpath/client";
import { LIMITS, type Me, proxyFor } from "@towpath/contract";
import { z } from "zod";
import { runGit } from "../deployments/git-program.ts";
import { type Failure, toFailure } from "../failure.ts";
import { readSigningKey } from "../identity/signing-key.ts";
import { trustedIn } from "../identity/trust-file.ts";
import { type Connection, readJsonFile } from "../kernel/connection.ts";
import { formatDuration } from "../kernel/duration.ts";
import { localTimes } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { networkFetch, type ReachFault, reachFault } from "../kernel/network.ts";
import { readUserConfig } from "../kernel/profiles.ts";
import { readIfThere, type StateFolder } from "../kernel/state-folder.ts";
import { printable } from "../output.ts";
import { releaseReasonOf } from "../runs/follow-notes.ts";

/** The result of one check. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** How to fix it. Commands stand between backticks. */
  readonly fix: string | null;
}

/** A check that passed. */
export const good = (name: string, detail: string): Check => ({ name, ok: true, detail, fix: null });
/** A check that failed, with its fix. */
export const bad = (name: string, detail: string, fix: string): Check => ({ name, ok: false, detail, fix });

function ofFailure(name: string, failure: Failure): Check {
  return bad(name, failure.message, failure.next.join("; "));
}

/** The largest accepted clock difference. Leases do not depend on it, but the times that people read do. */
const SKEW_MAX_MS = 30_000;
const PROBE_TIMEOUT_MS = 5_000;

/** Whether Node can run TypeScript flow files without a build. */
export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const ok = major > 22 || (major === 22 && minor >= 18);
  return ok
    ? good("node", version)
    : bad("node", `${version} cannot run TypeScript files`, "install Node 22.18 or newer");
}

/** Whether git is there, for registries that are git repositories. */
export async function checkGit(invocation: Invocation): Promise<Check> {
  const { cwd, config } = invocation;
  const call = { args: ["--version"], cwd, environment: config.environment };
  const answer = await runGit(call).catch(() => null);
  return answer?.code === 0
    ? good("git", answer.stdout.trim().replace("git version ", ""))
    : bad("git", "not found", "install git if your code registry is a git repository");
}

/** Checks that a control plane answers. Returns null, or the fault and its fix. */
export async function faultOfServer(url: string, invocation: Invocation): Promise<ReachFault | null> {
  const { environment } = invocation.config;
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  try {
    const answer = await networkFetch(environment)(`${url}/healthz`, { signal });
    const text = await answer.text();
    return answer.ok && text.includes("alive") ? null : strangerFault(url, { answer, environment });
  } catch (error) {
    const code =
      error instanceof Error && error.cause instanceof Error ? Reflect.get(error.cause, "code") : null;
    const why = typeof code === "string" ? ` (${code})` : "";
    return (
      reachFault(url, { error, environment }) ?? {
        what: signal.aborted ? "it does not answer in time" : `nothing answers${why}`,
        fix: "start it, check the address, or check for a firewall in between",
      }
    );
  }
}

/** The fault when another program or a proxy answered. */
function strangerFault(
  url: string,
  args: { answer: Response; environment: Readonly<Record<string, string | undefined>> },
): ReachFault {
  const proxy = proxyFor(url, args.environment);
  const kind = args.answer.headers.get("content-type") ?? "nothing";
  if (args.answer.status === 503)
    return {
      what: "it cannot serve requests now (503)",
      fix: "check its log and its database",
    };
  return proxy === null
    ? {
        what: `another program answers there (${args.answer.status}, ${kind})`,
        fix: "check the address: it is not a Towpath control plane",
      }
    : {
        what: `the proxy ${proxy} or something behind it answers instead (${args.answer.status}, ${kind})`,
        fix: `allow ${new URL(url).host} in the proxy, or add it to NO_PROXY`,
      };
}

/** Names the proxy in between, if there is one. */
function throughProxy(url: string, { config }: Invocation): string {
  const proxy = proxyFor(url, config.environment);
  return proxy === null ? "" : ` through the proxy ${proxy}`;
}

/** Checks the server, the key and the clock. If one fails, the next ones are skipped. */
export async function checkServer(
  invocation: Invocation,
): Promise<{ checks: Check[]; connection: Connection | null }> {
  const place = await invocation.address().catch((failure: unknown) => toFailure(failure));
  if (!("url" in place)) return { checks: [ofFailure("server", place)], connection: null };
  const { url, from } = place;
  const fault = await faultOfServer(url, invocation);
  if (fault)
    return {
      checks: [bad("server", `${url} (from ${from}): ${fault.what}`, fault.fix)],
      connection: null,
    };
  const server = good("server", `${url} (from ${from})${throughProxy(url, invocation)}`);
  const found = await invocation.connect().catch((failure: unknown) => toFailure(failure));
  if (!("client" in found)) return { checks: [server, ofFailure("key", found)], connection: null };
  const { client, keyFrom } = found;
  const before = invocation.clock.nowMs();
  const me = await client.getMe({}, { retries: 0 }).catch((failure: unknown) => toFailure(failure, found));
  if (!("workspace" in me)) return { checks: [server, ofFailure("key", me)], connection: null };
  const key = good(
    "key",
    `${me.key.name}: role ${me.key.role} in workspace ${me.workspace.name} (from ${keyFrom})`,
  );
  const clock = checkClock(me, (before + invocation.clock.nowMs()) / 2);
  return { checks: [server, key, clock], connection: found };
}

function checkClock(me: Me, nowMs: number): Check {
  const skewMs = Date.parse(me.server.now) - nowMs;
  const detail = `${formatDuration(Math.abs(skewMs))} ${skewMs < 0 ? "behind this machine" : "ahead of this machine"}`;
  return Math.abs(skewMs) <= SKEW_MAX_MS
    ? good("clock", detail)
    : bad("clock", `the server is ${detail}`, "set this machine's clock, for example with an NTP service");
}

/** Whether a pool has a worker that polls. */
export async function checkPools(client: Client): Promise<Check> {
  const { items } = await client.listPools({ query: { limit: LIMITS.pageRows } });
  const idle = items.find((pool) => pool.workersOnline === 0 && pool.ready > 0);
  if (items.length === 0)
    return bad(
      "pools",
      "there is none",
      "create one with `towpath pool create NAME`; `towpath dev` creates one with a worker",
    );
  if (idle)
    return bad(
      "pools",
      `${counted(idle.ready, "run")} ${idle.ready === 1 ? "waits" : "wait"} in "${idle.name}", which has no worker online`,
      `start one with \`towpath worker start --pool ${idle.name}\``,
    );
  const live = items.filter((pool) => pool.workersOnline > 0);
  if (live.length > 0)
    return good(
      "pools",
      live.map((pool) => `${pool.name}: ${counted(pool.workersOnline, "worker")} online`).join(", "),
    );
  return bad(
    "pools",
    "no worker is online",
    `start one with \`towpath worker start --pool ${items[0]?.name ?? "NAME"}\``,
  );
}

/** At most this many waiting runs are checked, the newest. */
const WAITING_MAX = 5;

/** Whether workers give waiting runs back. Empty if no run waits. */
export async function checkWaiting(client: Client): Promise<Check[]> {
  const { items } = await client.listRuns({ query: { state: "ready", limit: WAITING_MAX } });
  if (items.length === 0) return [];
  for (const { id } of items) {
    const run = await client.getRun({ params: { runId: id } });
    const reason = releaseReasonOf(run);
    if (reason !== null)
      return [
        bad(
          "waiting runs",
          `a worker of "${run.pool}" gave ${id} back: ${printable(reason)}`,
          "fix this on the worker's machine; `towpath doctor --config FILE` there checks the worker's set-up",
        ),
      ];
  }
  return [good("waiting runs", "no worker has given a run back")];
}

const WorkerFile = z.looseObject({
  trustedKeys: z.array(z.union([z.object({ file: z.string() }), z.looseObject({ kid: z.string() })])),
});

/** Whether the control plane's database was restored to an earlier state lately. Empty if not. */
export async function checkRestored(client: Client): Promise<Check[]> {
  const { restored } = await client.getOverview({});
  if (restored === null) return [];
  const { at, offered, unknownAttempts, unknownOutcomes } = restored;
  const detail = `the control plane's database was restored to an earlier state (noticed ${localTimes(at)}). Workers reported ${counted(offered, "attempt")} again, and ${counted(unknownAttempts, "attempt")} that the database does not have. The outcome of ${counted(unknownOutcomes, "attempt")} is unknown.`;
  if (unknownAttempts + unknownOutcomes === 0) return [good("restore", detail)];
  const fix =
    "find out what the unknown attempts did: `towpath runs ls crashed` lists the runs that are in the database, and the control plane's log names the attempts that are not";
  return [bad("restore", detail, fix)];
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

async function trustedKeyIds(folder: StateFolder): Promise<string[] | null> {
  const config = await readJsonFile(folder.workerConfigFile, WorkerFile);
  if (config === null) return null;
  const kids: string[] = [];
  for (const key of config.trustedKeys) {
    if ("file" in key)
      kids.push(...(await trustedIn(String(key.file)).catch(() => [])).map(({ kid }) => kid));
    else kids.push(key.kid);
  }
  return kids;
}

/** Whether there is a signing key that the local worker trusts. */
export async function checkSigning(invocation: Invocation, folder: StateFolder): Promise<Check> {
  const path = invocation.config.signingKeyFile ?? folder.signingKeyFile;
  const key = await readSigningKey(path).catch((failure: unknown) => toFailure(failure));
  if (key === null)
    return bad(
      "signing key",
      `none at ${path}`,
      "create one with `towpath key signing create` or `towpath dev`",
    );
  if (!("kid" in key)) return ofFailure("signing key", key);
  const trusted = await trustedKeyIds(folder);
  if (trusted === null)
    return good("signing key", `${key.kid.slice(0, 12)} (no local worker to compare with)`);
  return trusted.includes(key.kid)
    ? good("signing key", `${key.kid.slice(0, 12)}, trusted by the local worker`)
    : bad(
        "signing key",
        `${key.kid.slice(0, 12)} is not trusted by the local worker`,
        `add ${folder.signingPublicFile} to "trustedKeys" in ${folder.workerConfigFile}`,
      );
}

/** Whether a folder in the state folder is writable. */
export async function checkFolder(name: string, path: string): Promise<Check> {
  try {
    await mkdir(path, { recursive: true });
    await access(path, constants.R_OK | constants.W_OK);
    return good(name, path);
  } catch {
    return bad(name, `${path} cannot be written`, "make it a folder that this user can write to");
  }
}

/** Whether only this user can read the stored keys. Empty if there are none. */
export async function checkProfiles({ config }: Invocation): Promise<Check[]> {
  const file = config.userConfigFile;
  const user = await readUserConfig(file).catch((failure: unknown) => toFailure(failure));
  if (!("profiles" in user)) return [ofFailure("profiles", user)];
  if (user.profiles.length === 0) return [];
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0)
    return [bad("profiles", `other users can read the keys in ${file}`, `\`chmod 600 ${file}\``)];
  return [good("profiles", `${user.profiles.length} in ${file}`)];
}

/** Whether there is a state folder to check. */
export async function hasState(folder: StateFolder): Promise<boolean> {
  return (
    (await readIfThere(folder.signingKeyFile)) !== null || (await readIfThere(folder.serverFile)) !== null
  );
}
