import { isIP } from "node:net";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  DEFAULTS,
  type LogFormat,
  logFormatOf,
  QUOTA_NAMES,
  RATE_CLASSES,
  RATE_LIMITS,
} from "@towpath/contract";
import { z } from "zod";
import { CONNECTIONS } from "./connections.ts";
import { type Failpoint, parseFailpoints } from "./failpoint.ts";
import { PLACES } from "./places.ts";

/** What one process of the control plane takes on: serving HTTP, and the periodic jobs. */
export const ROLES = ["api", "loops"] as const;

/** One of the things that a process can take on. */
export type Role = (typeof ROLES)[number];

/** What the environment says, checked. Read once at boot by `readConfig`; nothing else reads the environment. */
export interface Config {
  /** Null: the embedded database under `stateDir`. */
  readonly databaseUrl: string | null;
  /** Leads past a pooler that answers at `databaseUrl`; null: there is none. */
  readonly databaseDirectUrl: string | null;
  /** A standby for people's reads. Null: they go to `databaseUrl`. */
  readonly databaseReadUrl: string | null;
  /** The most connections of this process for workers' calls, writes and loops. */
  readonly workConnections: number;
  /** The most connections of this process for people's reads. */
  readonly readConnections: number;
  /** Absolute path of the folder for `server.json`, `admin.key` and the embedded database. */
  readonly stateDir: string;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** How browsers and workers reach this server, without a trailing slash. Null: from host and the bound port. */
  readonly publicUrl: string | null;
  readonly roles: readonly Role[];
  readonly dashboardDir: string;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Whether the first boot writes an admin key to `stateDir/admin.key`. */
  readonly bootstrap: boolean;
  /** Whether every answer is checked against the contract before it leaves. Costs time; for development. */
  readonly checkAnswers: boolean;
  /** How long after its end a run stays in the live tables, milliseconds. */
  readonly archiveAfterMs: number;
  /** How long rows of the change feed are kept, milliseconds. */
  readonly changeRetentionMs: number;
  /** How long a run that has ended is kept, with its attempts, tasks and artifacts, milliseconds. Whole months are dropped. */
  readonly historyRetentionMs: number;
  /** How long refs of what a run has left in the store are kept after its end, milliseconds. Null: as long as the run. */
  readonly checkpointRetentionMs: number | null;
  /** How long log lines are kept, counted from their attempt's creation, milliseconds. Whole months are dropped. */
  readonly logRetentionMs: number;
  /** The lease of a running attempt, milliseconds. */
  readonly leaseMs: number;
  /** The lease of an unconfirmed claim, milliseconds. */
  readonly claimLeaseMs: number;
  /** How long a worker may be silent about an external job before another takes it over, milliseconds. */
  readonly jobLeaseMs: number;
  /** How often workers are told to renew, milliseconds. */
  readonly renewIntervalMs: number;
  /** Whether notifiers may have addresses inside this network, and http ones. */
  readonly notifyPrivate: boolean;
  /** Addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. */
  readonly trustedProxies: readonly string[];
  /** Limits of requests a second that replace those of the table, by `class.subject`; null: none. */
  readonly rates: ReadonlyMap<string, number | null>;
  /** Quotas that replace those of the table, by name; null: none. */
  readonly quotas: ReadonlyMap<string, number | null>;
  /** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`: how what notifiers are told leaves. */
  readonly proxies: Readonly<Record<string, string | undefined>>;
  /** Where fault tests strike. Always empty in a published build, which refuses the variable. */
  readonly failpoints: readonly Failpoint[];
}

/** Only a checkout is TypeScript: what is published is compiled, and has no fault to be asked for. */
const IS_CHECKOUT = import.meta.url.endsWith(".ts");

/** Written in either case of letters, as curl does; the lower one has the say. */
const PROXY_VARIABLES = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] as const;

// Others of this machine may understand more than we do: a proxy is judged when something goes through it.
const ProxyAddress = z.string().optional();

const Failpoints = z
  .string()
  .refine(() => IS_CHECKOUT, "is for fault tests in a checkout; unset it")
  .transform(parseFailpoints)
  .pipe(z.array(z.custom<Failpoint>(), "must be name:action:nth, separated by commas"));

/** A list such as `name=50,other=off`, of known names only. `off` alone lifts all of them. */
const numbersOf = (names: readonly string[]) =>
  z
    .string()
    .default("")
    .transform((text, context) => {
      const parts = text.split(",").map((part) => part.trim());
      if (text.trim() === "off") return new Map(names.map((name) => [name, null] as const));
      const found = new Map<string, number | null>();
      for (const part of parts.filter((one) => one !== "")) {
        const [, name = "", value = ""] = /^([\w.-]+)=(off|\d+(?:\.\d+)?)$/.exec(part) ?? [];
        const count = value === "off" ? null : Number(value);
        if (names.includes(name) && count !== 0) found.set(name, count);
        else {
          const message = `must be a list such as ${names[0]}=100,${names[1]}=off, of: ${names.join(", ")}`;
          context.addIssue({ code: "custom", message });
          return z.NEVER;
        }
      }
      return found;
    });

const RATE_NAMES = RATE_CLASSES.flatMap((name) =>
  Object.keys(RATE_LIMITS[name].perSecond).map((subject) => `${name}.${subject}`),
);

const Proxies = z
  .string()
  .default("")
  .transform((text) => text.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()])))
  .pipe(z.array(z.string().refine(isNetwork, "must be addresses or networks, such as 10.0.0.0/8")).max(100));

function isNetwork(text: string): boolean {
  const [address = "", bits, ...more] = text.split("/");
  const family = isIP(address);
  const isLength =
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
  return family !== 0 && isLength && more.length === 0;
}

const DAY_MS = 24 * 3_600_000;

const DatabaseUrl = z.url({ protocol: /^postgres(ql)?$/, error: "must be a postgres:// address" });

/** More than this of one process is a slip: a server has a hundred unless it is told otherwise. */
const CONNECTIONS_MAX = 1_000;

const connections = (fallback: number) =>
  z.coerce.number().int().min(1).max(CONNECTIONS_MAX).default(fallback);
const milliseconds = (fallback: number) => z.coerce.number().int().positive().default(fallback);
const flag = z
  .enum(["0", "1"], "must be 0 or 1")
  .default("0")
  .transform((text) => text === "1");

const Roles = z
  .string()
  .default(ROLES.join(","))
  .transform((text) => text.split(",").map((part) => part.trim()))
  .pipe(z.array(z.enum(ROLES)).min(1));

const PublicUrl = z
  .url({ protocol: /^https?$/, error: "must be an http or https address" })
  .transform((text) => text.replace(/\/+$/, ""));

/** What a process of the control plane reads of its environment; the reference's page is made of it. */
export const Environment = z.object({
  DATABASE_URL: DatabaseUrl.nullable()
    .default(null)
    .describe("An external Postgres, 15 or newer. Unset: the embedded one, in the state directory."),
  DATABASE_DIRECT_URL: DatabaseUrl.nullable()
    .default(null)
    .describe(
      "The same database past a pooler. Required where `DATABASE_URL` leads to a pooler such as PgBouncer: migrations and LISTEN need a connection of their own.",
    ),
  DATABASE_READ_URL: DatabaseUrl.nullable()
    .default(null)
    .describe(
      "A standby of that database. It serves people's reads while it has all that was written before them.",
    ),
  TOWPATH_WORK_CONNECTIONS: connections(CONNECTIONS.work).describe(
    "The most connections to the database for workers' calls, writes and loops, for each process.",
  ),
  TOWPATH_READ_CONNECTIONS: connections(CONNECTIONS.read).describe(
    "The most connections for people's reads, for each process. Workspaces share them fairly. With `DATABASE_READ_URL`, as many to the standby.",
  ),
  TOWPATH_STATE_DIR: z
    .string()
    .default(".towpath/control")
    .describe("Folder of `server.json`, `admin.key` and the embedded database."),
  TOWPATH_HOST: z.string().default("127.0.0.1").describe("The address on which it listens."),
  TOWPATH_PORT: z.coerce
    .number("must be a port number")
    .int()
    .min(0)
    .max(65_535)
    .default(4200)
    .describe("The port on which it listens. 0: any free one."),
  TOWPATH_PUBLIC_URL: PublicUrl.nullable()
    .default(null)
    .describe("How browsers and workers reach it. Unset: from host and port."),
  TOWPATH_ROLES: Roles.describe(
    "What this process takes on, of several on one database: `api` (serving HTTP), `loops` (periodic jobs), or both.",
  ),
  TOWPATH_DASHBOARD_DIR: z
    .string()
    .default(fileURLToPath(PLACES.dashboard))
    .describe("Folder of the built dashboard. Unset: the one that comes with it."),
  TOWPATH_LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .default("info")
    .describe("`trace` to `silent`. Errors are told with their stacks from `debug` on."),
  TOWPATH_BOOTSTRAP: flag.describe(
    "`1`: makes the first organization and workspace, and an admin key in `admin.key` of the state directory.",
  ),
  TOWPATH_CHECK_ANSWERS: flag.describe(
    "`1`: every answer is checked against the contract before it leaves. Costs time; for development.",
  ),
  TOWPATH_ARCHIVE_AFTER_MS: milliseconds(5 * 60_000).describe(
    "How long after its end a run stays among the live ones.",
  ),
  TOWPATH_CHANGE_RETENTION_MS: milliseconds(24 * 3_600_000).describe(
    "How long changes are kept for those who follow them: a page that was away for longer reads anew.",
  ),
  TOWPATH_HISTORY_RETENTION_MS: milliseconds(90 * DAY_MS).describe(
    "How long a run that has ended is kept, with attempts, tasks and artifacts. Whole months are dropped.",
  ),
  TOWPATH_CHECKPOINT_RETENTION_MS: z.coerce
    .number()
    .int()
    .positive()
    .nullable()
    .default(null)
    .describe(
      "How long the refs of what a run's tasks have left are kept after its end: as long as your store keeps the values. Unset: as long as the run.",
    ),
  TOWPATH_LOG_RETENTION_MS: milliseconds(30 * DAY_MS).describe(
    "How long log lines are kept after the end of their run. Lines of a run that goes on stay. Whole months are dropped.",
  ),
  TOWPATH_LEASE_MS: milliseconds(DEFAULTS.leaseMs).describe(
    "Lease of a running attempt: a worker that is silent for longer has lost it.",
  ),
  TOWPATH_CLAIM_LEASE_MS: milliseconds(DEFAULTS.claimLeaseMs).describe(
    "Lease of a claim that the worker has not confirmed yet.",
  ),
  TOWPATH_JOB_LEASE_MS: milliseconds(DEFAULTS.jobLeaseMs).describe(
    "How long a worker may be silent about the external jobs that it polls: then another of its pool takes them over.",
  ),
  TOWPATH_RENEW_INTERVAL_MS: milliseconds(DEFAULTS.renewIntervalMs).describe(
    "How often workers are told to renew their leases.",
  ),
  TOWPATH_NOTIFY_PRIVATE: flag.describe(
    "`1`: notifiers may have addresses inside this network (private, loopback, link-local), and http ones. Else they are refused: whoever may make a notifier could reach what only this machine can.",
  ),
  TOWPATH_TRUSTED_PROXIES: Proxies.describe(
    "Addresses and networks of the proxies before this server, such as `10.0.0.0/8,127.0.0.1`: their `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Nobody else's are.",
  ),
  TOWPATH_RATE_LIMITS: numbersOf(RATE_NAMES).describe(
    "Requests a second that replace those of the table in [the HTTP API](api.md#request-limits), such as `read.key=50,run.workspace=off`. `off` alone lifts all. Counted in each process by itself.",
  ),
  TOWPATH_QUOTAS: numbersOf(QUOTA_NAMES).describe(
    "How much a workspace may store, in place of the table in [the HTTP API](api.md#quotas), such as `pools=500,notifiers=off`. `off` alone lifts all.",
  ),
  HTTPS_PROXY: ProxyAddress.describe(
    "The proxy through which notifiers are told, such as `http://user:password@proxy.internal:3128`. It looks their names up, so it is the one to refuse private addresses that only it knows.",
  ),
  HTTP_PROXY: ProxyAddress.describe("The same for http addresses, and for https ones without `HTTPS_PROXY`."),
  NO_PROXY: z
    .string()
    .optional()
    .describe(
      "Hosts that are told directly, separated by commas, such as `.internal`. This machine always is.",
    ),
  TOWPATH_FAILPOINTS: Failpoints.default([]).describe(
    "Where fault tests strike. Only in a checkout; what is published refuses it.",
  ),
});

/** The environment is not acceptable. `faults` name every variable that is wrong, never its value. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`The configuration is not acceptable:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    this.faults = faults;
  }
}

/**
 * Checks an environment and fills in the defaults. An empty variable counts as unset.
 * @throws ConfigError with all faults at once.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const lower = PROXY_VARIABLES.map((name) => [name, env[name.toLowerCase()]] as const);
  const set = Object.fromEntries(
    [...Object.entries(env), ...lower].filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = Environment.safeParse(set);
  if (!parsed.success) {
    throw new ConfigError(
      parsed.error.issues.map((issue) => `${issue.path[0]?.toString()}: ${issue.message}`),
    );
  }
  const read = parsed.data;
  const beside = (["DATABASE_DIRECT_URL", "DATABASE_READ_URL"] as const).filter(
    (name) => read[name] !== null,
  );
  if (read.DATABASE_URL === null && beside.length > 0)
    throw new ConfigError(beside.map((name) => `${name}: goes with DATABASE_URL; set that, or unset this`));
  return {
    databaseUrl: read.DATABASE_URL,
    databaseDirectUrl: read.DATABASE_DIRECT_URL,
    databaseReadUrl: read.DATABASE_READ_URL,
    workConnections: read.TOWPATH_WORK_CONNECTIONS,
    readConnections: read.TOWPATH_READ_CONNECTIONS,
    stateDir: resolve(read.TOWPATH_STATE_DIR),
    host: read.TOWPATH_HOST,
    port: read.TOWPATH_PORT,
    publicUrl: read.TOWPATH_PUBLIC_URL,
    roles: read.TOWPATH_ROLES,
    dashboardDir: resolve(read.TOWPATH_DASHBOARD_DIR),
    logLevel: read.TOWPATH_LOG_LEVEL,
    bootstrap: read.TOWPATH_BOOTSTRAP,
    checkAnswers: read.TOWPATH_CHECK_ANSWERS,
    archiveAfterMs: read.TOWPATH_ARCHIVE_AFTER_MS,
    changeRetentionMs: read.TOWPATH_CHANGE_RETENTION_MS,
    historyRetentionMs: read.TOWPATH_HISTORY_RETENTION_MS,
    checkpointRetentionMs: read.TOWPATH_CHECKPOINT_RETENTION_MS,
    logRetentionMs: read.TOWPATH_LOG_RETENTION_MS,
    leaseMs: read.TOWPATH_LEASE_MS,
    claimLeaseMs: read.TOWPATH_CLAIM_LEASE_MS,
    jobLeaseMs: read.TOWPATH_JOB_LEASE_MS,
    renewIntervalMs: read.TOWPATH_RENEW_INTERVAL_MS,
    notifyPrivate: read.TOWPATH_NOTIFY_PRIVATE,
    trustedProxies: read.TOWPATH_TRUSTED_PROXIES,
    rates: read.TOWPATH_RATE_LIMITS,
    quotas: read.TOWPATH_QUOTAS,
    proxies: { HTTPS_PROXY: read.HTTPS_PROXY, HTTP_PROXY: read.HTTP_PROXY, NO_PROXY: read.NO_PROXY },
    failpoints: read.TOWPATH_FAILPOINTS,
  };
}

/** How this process prints its log, by `LOG_FORMAT` and whether it prints on a terminal. */
export function logFormat(isTerminal: boolean): LogFormat {
  return logFormatOf(process.env.LOG_FORMAT, isTerminal);
}

/**
 * Reads this process's environment.
 * @throws ConfigError with all faults at once.
 */
export function readConfig(): Config {
  return parseConfig(process.env);
}
