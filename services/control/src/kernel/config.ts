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
import { type Failpoint, parseFailpoints } from "./failpoint.ts";
import { FOLDERS } from "./folders.ts";

/** The default number of connections of a process for work and for people's reads. */
export const CONNECTIONS = { work: 10, read: 4 } as const;

/** Connections that bypass drizzle, for NOTIFY and for the position in the write-ahead log. */
export const RAW_CONNECTIONS = 2;

/** Those, and the one that listens. */
export const WAKE_CONNECTIONS: number = RAW_CONNECTIONS + 1;

/** The roles of a control plane process: serving HTTP, and the periodic jobs. */
export const ROLES = ["api", "loops"] as const;

/** One role of a process. */
export type Role = (typeof ROLES)[number];

/** The checked environment. `readConfig` reads it once at boot; nothing else reads the environment. */
export interface Config {
  /** Null: the embedded database in `stateDir`. */
  readonly databaseUrl: string | null;
  /** The address of the server behind the pooler at `databaseUrl`. Null: there is no pooler. */
  readonly databaseDirectUrl: string | null;
  /** A standby for people's reads. Null: they use `databaseUrl`. */
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
  /** The URL of this server for browsers and workers, without a trailing slash. Null: made from host and bound port. */
  readonly publicUrl: string | null;
  readonly roles: readonly Role[];
  readonly dashboardDir: string;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Whether the first boot writes an admin key to `stateDir/admin.key`. */
  readonly bootstrap: boolean;
  /** Whether every answer is checked against the contract. Slow; for development. */
  readonly checkAnswers: boolean;
  /** How long a run stays in the live tables after its end, milliseconds. */
  readonly archiveAfterMs: number;
  /** How long rows of the change feed are kept, milliseconds. */
  readonly changeRetentionMs: number;
  /** How long ended runs are kept with their attempts, tasks and artifacts, milliseconds. Whole months are deleted. */
  readonly historyRetentionMs: number;
  /** How long refs of an ended run are kept, milliseconds. Null: as long as the run. */
  readonly checkpointRetentionMs: number | null;
  /** How long log lines are kept after the creation of their attempt, milliseconds. Whole months are deleted. */
  readonly logRetentionMs: number;
  /** The lease of a running attempt, milliseconds. */
  readonly leaseMs: number;
  /** The lease of an unconfirmed claim, milliseconds. */
  readonly claimLeaseMs: number;
  /** How long a worker may be silent about an external job before another worker takes it over, milliseconds. */
  readonly jobLeaseMs: number;
  /** The interval at which workers renew leases, milliseconds. */
  readonly renewIntervalMs: number;
  /** Whether notifiers may have http addresses, and addresses inside this network. */
  readonly notifyPrivate: boolean;
  /** Addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted. */
  readonly trustedProxies: readonly string[];
  /** Rate limits in requests a second that replace the defaults, by `class.subject`. Null: no limit. */
  readonly rates: ReadonlyMap<string, number | null>;
  /** Quotas that replace the defaults, by name. Null: no quota. */
  readonly quotas: ReadonlyMap<string, number | null>;
  /** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, for requests to notifiers. */
  readonly proxies: Readonly<Record<string, string | undefined>>;
  /** Failpoints of fault tests. Always empty in a published build, which refuses the variable. */
  readonly failpoints: readonly Failpoint[];
}

/** Only a checkout runs TypeScript. A published build is JavaScript and refuses failpoints. */
const IS_CHECKOUT = import.meta.url.endsWith(".ts");

/** Accepted in upper and lower case, as in curl. Lower case takes precedence. */
const PROXY_VARIABLES = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] as const;

// Other programs may support more kinds of proxies, so the address is checked only when it is used.
const ProxyAddress = z.string().optional();

const Failpoints = z
  .string()
  .refine(() => IS_CHECKOUT, "is for fault tests in a checkout; unset it")
  .transform(parseFailpoints)
  .pipe(z.array(z.custom<Failpoint>(), "must be name:action:nth, separated by commas"));

/** A list such as `name=50,other=off` of known names. `off` alone removes all limits. */
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
          const message = `must be a list such as ${names[0]}=100,${names[1]}=off, with these names: ${names.join(", ")}`;
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

/** A larger number is a mistake: a server allows a hundred by default. */
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

/** The environment variables of a control plane process. The reference page is generated from them. */
export const Environment = z.object({
  DATABASE_URL: DatabaseUrl.nullable()
    .default(null)
    .describe(
      "An external Postgres, version 15 or later. Unset: the embedded database in the state directory.",
    ),
  DATABASE_DIRECT_URL: DatabaseUrl.nullable()
    .default(null)
    .describe(
      "The address of the same database without the pooler. Required if `DATABASE_URL` leads to a pooler such as PgBouncer, because migrations and LISTEN need a direct connection.",
    ),
  DATABASE_READ_URL: DatabaseUrl.nullable()
    .default(null)
    .describe(
      "A standby of that database. It serves people's reads as long as it has every write that came before them.",
    ),
  TOWPATH_WORK_CONNECTIONS: connections(CONNECTIONS.work).describe(
    "The most database connections of each process for workers' calls, writes and loops.",
  ),
  TOWPATH_READ_CONNECTIONS: connections(CONNECTIONS.read).describe(
    "The most database connections of each process for people's reads. Workspaces share them fairly. With `DATABASE_READ_URL` the standby gets the same number.",
  ),
  TOWPATH_STATE_DIR: z
    .string()
    .default(".towpath/control")
    .describe("Folder for `server.json`, `admin.key` and the embedded database."),
  TOWPATH_HOST: z.string().default("127.0.0.1").describe("The address on which the server listens."),
  TOWPATH_PORT: z.coerce
    .number("must be a port number")
    .int()
    .min(0)
    .max(65_535)
    .default(4200)
    .describe("The port on which the server listens. 0: any free port."),
  TOWPATH_PUBLIC_URL: PublicUrl.nullable()
    .default(null)
    .describe("The URL of the server for browsers and workers. Unset: made from host and port."),
  TOWPATH_ROLES: Roles.describe(
    "The roles of this process, of several on one database: `api` (serves HTTP), `loops` (runs the periodic jobs), or both.",
  ),
  TOWPATH_DASHBOARD_DIR: z
    .string()
    .default(fileURLToPath(FOLDERS.dashboard))
    .describe("Folder of the built dashboard. Unset: the dashboard of this package."),
  TOWPATH_LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .default("info")
    .describe("The log level, `trace` to `silent`. From `debug` on, errors are logged with their stacks."),
  TOWPATH_BOOTSTRAP: flag.describe(
    "`1`: creates the first organization and workspace at the first start, and an admin key in `admin.key` of the state directory.",
  ),
  TOWPATH_CHECK_ANSWERS: flag.describe(
    "`1`: checks every answer against the contract. Slow; for development.",
  ),
  TOWPATH_ARCHIVE_AFTER_MS: milliseconds(5 * 60_000).describe(
    "How long a run stays in the live tables after its end.",
  ),
  TOWPATH_CHANGE_RETENTION_MS: milliseconds(24 * 3_600_000).describe(
    "How long the change feed is kept. A page that was disconnected for longer loads its data again.",
  ),
  TOWPATH_HISTORY_RETENTION_MS: milliseconds(90 * DAY_MS).describe(
    "How long ended runs are kept with their attempts, tasks and artifacts. Whole months are deleted.",
  ),
  TOWPATH_CHECKPOINT_RETENTION_MS: z.coerce
    .number()
    .int()
    .positive()
    .nullable()
    .default(null)
    .describe(
      "How long the refs of an ended run's tasks are kept. Set it to the time for which your store keeps values. Unset: as long as the run.",
    ),
  TOWPATH_LOG_RETENTION_MS: milliseconds(30 * DAY_MS).describe(
    "How long log lines are kept after the end of their run. Lines of open runs stay. Whole months are deleted.",
  ),
  TOWPATH_LEASE_MS: milliseconds(DEFAULTS.leaseMs).describe(
    "The lease of a running attempt. A worker that is silent for longer loses it.",
  ),
  TOWPATH_CLAIM_LEASE_MS: milliseconds(DEFAULTS.claimLeaseMs).describe(
    "The lease of a claim that the worker has not confirmed.",
  ),
  TOWPATH_JOB_LEASE_MS: milliseconds(DEFAULTS.jobLeaseMs).describe(
    "How long a worker may be silent about the external jobs that it polls. Then another worker of its pool takes them over.",
  ),
  TOWPATH_RENEW_INTERVAL_MS: milliseconds(DEFAULTS.renewIntervalMs).describe(
    "How often workers renew their leases.",
  ),
  TOWPATH_NOTIFY_PRIVATE: flag.describe(
    "`1`: notifiers may have http addresses, and addresses inside this network (private, loopback, link-local). Otherwise they are refused, because the creator of a notifier could reach services that only this machine can reach.",
  ),
  TOWPATH_TRUSTED_PROXIES: Proxies.describe(
    "Addresses and networks of the proxies in front of this server, such as `10.0.0.0/8,127.0.0.1`. Only their `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.",
  ),
  TOWPATH_RATE_LIMITS: numbersOf(RATE_NAMES).describe(
    "Requests per second that replace the limits in [the HTTP API](api.md#request-limits), such as `read.key=50,run.workspace=off`. `off` alone removes all limits. Each process counts by itself.",
  ),
  TOWPATH_QUOTAS: numbersOf(QUOTA_NAMES).describe(
    "Quotas of a workspace that replace those in [the HTTP API](api.md#quotas), such as `pools=500,notifiers=off`. `off` alone removes all quotas.",
  ),
  HTTPS_PROXY: ProxyAddress.describe(
    "The proxy for requests to notifiers, such as `http://user:password@proxy.internal:3128`. The proxy resolves their names, so it must refuse private addresses that only it can resolve.",
  ),
  HTTP_PROXY: ProxyAddress.describe(
    "The proxy for http addresses, and for https addresses if `HTTPS_PROXY` is unset.",
  ),
  NO_PROXY: z
    .string()
    .optional()
    .describe(
      "Hosts that are reached without the proxy, separated by commas, such as `.internal`. This machine always is.",
    ),
  TOWPATH_FAILPOINTS: Failpoints.default([]).describe(
    "Failpoints of fault tests. Only in a checkout; a published build refuses it.",
  ),
});

/** The environment is not valid. `faults` name every wrong variable, never its value. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`The configuration is not valid:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    this.faults = faults;
  }
}

/**
 * Checks an environment and applies the defaults. An empty variable counts as unset.
 * @throws ConfigError with all faults.
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
    throw new ConfigError(beside.map((name) => `${name}: needs DATABASE_URL; set that, or unset ${name}`));
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

/** The format of this process's log: `LOG_FORMAT`, or else by whether stdout is a terminal. */
export function logFormat(isTerminal: boolean): LogFormat {
  return logFormatOf(process.env.LOG_FORMAT, isTerminal);
}

/**
 * Reads the environment of this process.
 * @throws ConfigError with all faults.
 */
export function readConfig(): Config {
  return parseConfig(process.env);
}
