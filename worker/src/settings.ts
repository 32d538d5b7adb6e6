import { hostname } from "node:os";
import {
  BucketAddress,
  CodeAddress,
  DeploymentName,
  DurationMs,
  Id,
  LIMITS,
  Name,
  NpmPackageName,
  OciAddress,
  TRUSTED_KEYS_MAX,
  TrustedKey,
} from "@towpath/contract";
import { LEDGER_FILE } from "@towpath/contract/ledger";
import { z } from "zod";
import { ComputeShape } from "./compute/index.ts";
import { SecretSourceShape, VaultShape } from "./secrets/shapes.ts";
import { DEFAULT_UIDS, rangeOf } from "./walls/run-as.ts";

const BucketShape = z.strictObject({
  kind: z.literal("s3"),
  url: BucketAddress,
  endpoint: CodeAddress.optional(),
  region: z.string().min(1).max(64).optional(),
  accessKeyId: SecretSourceShape.default({ env: "AWS_ACCESS_KEY_ID" }),
  secretAccessKey: SecretSourceShape.default({ env: "AWS_SECRET_ACCESS_KEY" }),
  sessionToken: SecretSourceShape.optional(),
});
const ArchiveShape = z.strictObject({
  kind: z.literal("archive"),
  url: CodeAddress,
  username: z.string().min(1).optional(),
  password: SecretSourceShape.optional(),
  token: SecretSourceShape.optional(),
});
const GitShape = z
  .strictObject({
    kind: z.literal("git"),
    url: z.url({
      protocol: /^(https?|file|ssh)$/,
      error: "the repository's address, https://, ssh://, http:// or file://",
    }),
    username: z.string().min(1).optional(),
    password: SecretSourceShape.optional(),
    key: SecretSourceShape.optional(),
    knownHosts: SecretSourceShape.optional(),
  })
  .superRefine((registry, faults) => {
    const isSsh = registry.url.startsWith("ssh:");
    const wrong = (field: "username" | "password" | "key" | "knownHosts", message: string) =>
      faults.addIssue({ code: "custom", path: [field], message });
    for (const field of ["key", "knownHosts"] as const)
      if (isSsh !== (registry[field] !== undefined))
        wrong(field, isSsh ? "an ssh:// address needs it" : "only an ssh:// address has it; remove it");
    for (const field of ["username", "password"] as const)
      if (isSsh && registry[field] !== undefined)
        wrong(field, "an ssh:// address has its user in the url and a key; remove it");
  });

/** Where code may be fetched from. */
export const RegistryShape = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("oci-layout"), path: z.string().min(1) }),
  z.strictObject({
    kind: z.literal("oci"),
    url: OciAddress,
    username: z.string().min(1).optional(),
    password: SecretSourceShape.optional(),
    tokenUrl: CodeAddress.optional(),
  }),
  BucketShape,
  ArchiveShape,
  z.strictObject({
    kind: z.literal("npm"),
    url: CodeAddress,
    package: NpmPackageName,
    username: z.string().min(1).optional(),
    password: SecretSourceShape.optional(),
    token: SecretSourceShape.optional(),
  }),
  GitShape,
]);

/** Where packages of Python come from. */
export const PythonIndexShape = z.union([
  z.strictObject({
    url: z.url({ protocol: /^https?$/, error: "the address of a package index" }),
    username: z.string().min(1).optional(),
    password: SecretSourceShape.optional(),
  }),
  z.strictObject({ folder: z.string().min(1) }),
]);

/** Where packages of npm come from. */
export const NpmShape = z
  .strictObject({
    registry: z.url({ protocol: /^https?$/, error: "the address of an npm registry" }),
    username: z.string().min(1).optional(),
    password: SecretSourceShape.optional(),
    token: SecretSourceShape.optional(),
    cache: z.string().min(1).optional(),
  })
  .refine(({ token, password }) => token === undefined || password === undefined, {
    message: "give a token, or a username and a password",
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    message: "give both a username and a password",
  });

/** A path below an address: no part of it leads elsewhere. */
const FilePath = z
  .string()
  .max(512)
  .regex(
    /^(?!\/)(?!(.*\/)?\.{1,2}(\/|$))[^\p{Cc}\\:]+$/u,
    "a path below the address, such as flows/towpath.ledger.jsonl",
  );
/** A branch as git writes it. It never looks like an option. */
const Branch = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9_][\w./-]*$/, "the name of a branch, such as main");

/** A deployers' ledger that is read over the network. */
export const RemoteLedgerShape = z
  .strictObject({
    from: z.discriminatedUnion("kind", [BucketShape, ArchiveShape, GitShape]),
    file: FilePath.default(LEDGER_FILE),
    branch: Branch.optional(),
    refreshMs: DurationMs.min(5_000).max(3_600_000).default(30_000),
    maxAgeMs: DurationMs.min(60_000)
      .max(30 * 86_400_000)
      .default(86_400_000),
  })
  .refine(({ branch, from }) => branch === undefined || from.kind === "git", {
    path: ["branch"],
    message: "only a ledger in git has one; remove it",
  })
  .refine(({ refreshMs, maxAgeMs }) => refreshMs <= maxAgeMs, {
    path: ["maxAgeMs"],
    message: "must not be shorter than refreshMs",
  });

const MIB = 1024 * 1024;

const KeyFile = z.strictObject({ file: z.string().min(1) });

/** A folder, or a prefix in a bucket: `s3://bucket/prefix`, with its credentials. */
export const StoreShape = z.strictObject({
  root: z.string().min(1),
  endpoint: z.url({ protocol: /^https?$/, error: "the address of a store that speaks S3" }).optional(),
  region: z.string().min(1).max(64).optional(),
  accessKeyId: SecretSourceShape.optional(),
  secretAccessKey: SecretSourceShape.optional(),
  sessionToken: SecretSourceShape.optional(),
  keys: z.array(SecretSourceShape).min(1).max(8).optional(),
  roundSizes: z.boolean().optional(),
});

/** The smallest limit on a lane of the journal, bytes. */
const JOURNAL_BYTES_MIN = 4 * 1024;

/** What attempts run as. */
export const RunAsShape = z.union(
  [
    z.enum(["auto", "users", "worker"]),
    z.literal(false),
    z.strictObject({
      uids: z.string().refine((text) => rangeOf(text) !== null, {
        message: 'a range of user ids, such as "200000-200999", from 10000 to 2147483646',
      }),
    }),
  ],
  { error: 'write "auto", "users", "worker", or {"uids": "FIRST-LAST"}' },
);

/** Whether attempts have namespaces of their own. */
export const NamespacesShape = z.union(
  [z.enum(["auto", "required"]), z.literal(false), z.strictObject({ bwrap: z.string().startsWith("/") })],
  { error: 'write "auto", "required", false, or {"bwrap": "/PATH/OF/bwrap"}' },
);
/** The most folders that runs may have besides. */
const FOLDERS_MAX = 64;

const NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * The settings file, written by hand or by the CLI. The reference page is generated from it. Relative paths
 * start at the file's folder.
 */
export const Settings = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: "the control plane's address, http:// or https://" })
    .describe("The control plane's address."),
  key: SecretSourceShape.describe(
    'The worker\'s API key: `{"file": PATH}`, `{"env": NAME}`, `{"exec": {"command": [...]}}` or `{"vault": {"path": PATH, "field": FIELD}}`. Every other secret of this file has the same sources.',
  ),
  pool: Name.describe("The pool whose runs it takes."),
  workspace: Id.optional().describe(
    "The id of its workspace, which `towpath whoami` prints. The worker takes no work from a control plane that names another one, and no spec that was signed for another one. Unset: the control plane says which workspace it is.",
  ),
  name: z
    .string()
    .min(1)
    .max(128)
    .default(hostname())
    .describe("Its name for people. Default: the host name."),
  stableName: z
    .boolean()
    .default(false)
    .describe(
      "True: no two machines run workers of this name in this pool at the same time, as in a Kubernetes StatefulSet. If this worker starts with an empty `stateDir`, the runs of earlier workers of its name are lost when their leases end, without `lostAfterMs`.",
    ),
  capacity: z.int().min(1).max(LIMITS.attempts).default(4).describe("How many runs it executes at once."),
  compute: ComputeShape.prefault({}).describe(
    'Its compute: `{"cpu": 8, "memory": "30 GiB", "gpus": [{"id": "0", "kind": "a100"}], "licences": 2}`. If `cpu`, `memory` or `gpus` is not set, the worker detects it. `"gpus": []` means no GPU.',
  ),
  warm: z
    .int()
    .min(0)
    .max(64)
    .default(1)
    .describe("How many warm processes wait for the next run. Each executes one run and ends."),
  loadAhead: z
    .int()
    .min(0)
    .max(64)
    .default(2)
    .describe(
      "How many deployments have a process that has loaded their code and waits five minutes for the next run. 0: none. A deployment can turn this off.",
    ),
  stateDir: z
    .string()
    .min(1)
    .describe("Folder of its journal, of fetched code and of its state for a restart."),
  trustedKeys: z
    .array(z.union([KeyFile, TrustedKey]))
    .min(1, "name at least one public key whose signatures this worker accepts")
    .max(TRUSTED_KEYS_MAX)
    .describe(
      'Public keys whose signatures it accepts: `{"file": PATH}`, or Ed25519 JWKs. A file has one key or several (`{"keys": […]}`), each with optional `notBefore`, `notAfter` and `revokedAt`. A changed file needs no restart.',
    ),
  signatures: z
    .record(DeploymentName, z.int().min(1).max(8))
    .default({})
    .describe(
      'How many people must have signed a spec, by the deployment\'s name with its stage: `{"churn@prod": 2}`. The signatures after the first one come from `ledger`.',
    ),
  ledger: z
    .union([z.string().min(1), RemoteLedgerShape])
    .optional()
    .describe(
      'The deployers\' ledger. The worker runs only specs that have a line there. A path: the file `towpath.ledger.jsonl`, or the folder that contains it, such as a checkout. An object reads it over the network: `{"from": REGISTRY, "file": "towpath.ledger.jsonl", "branch": "main"}`, where `from` is written as a registry of the kind `git`, `archive` or `s3`, with its own login. The worker reads it again every `refreshMs` (30 s), and at once for a spec that it does not find. If it cannot be read, the last copy stays in force until it is `maxAgeMs` old (a day). Then runs wait. Changes need no restart.',
    ),
  floors: z
    .record(DeploymentName, z.int().min(1))
    .default({})
    .describe(
      'The oldest version of a deployment that may run here, by the deployment\'s name with its stage: `{"churn@prod": 7}`. Signed floors can only be higher. A worker whose `stateDir` is new knows no others yet.',
    ),
  registries: z
    .record(Name, RegistryShape)
    .default({})
    .describe("Code registries, by the names that specs use. The worker fetches code only from these."),
  store: StoreShape.describe(
    "Where flows save values and checkpoints: a folder, or an S3 bucket. `keys` are secrets of at least 32 bytes: the worker derives the keys of hashes, refs and pickled values from them. The first one is the current key, and values of the others stay readable. Without `keys`, the first worker writes a random key into the store, and deployments cannot use pickle. `roundSizes: true` pads stored values, so that the sizes that leave tell little.",
  ),
  stores: z
    .record(Name, StoreShape)
    .default({})
    .describe("Other stores, by the name that a stage or a project chooses; each as `store`."),
  secrets: z
    .record(Name, SecretSourceShape)
    .default({})
    .describe(
      "Secrets for flows, by name. A secret without an entry comes from the variable `TOWPATH_SECRET_NAME` of the worker's environment. Changes need no restart. Values never leave the worker's machine.",
    ),
  vaults: z
    .record(Name, VaultShape)
    .default({})
    .describe(
      'HashiCorp Vaults or OpenBaos for sources `{"vault": ...}`, by name: `{"address": URL, "auth": {"method": "approle", "roleId": SOURCE, "secretId": SOURCE}}`, with `namespace` and `ca` (a PEM file) if needed. Other methods are `token` and `kubernetes`. `default` is for sources that name none.',
    ),
  startedBy: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "The command that starts this worker and writes this file anew each time, such as `towpath dev`. Messages about missing secrets then name the command instead of the file.",
    ),
  workspaceKeys: z
    .array(SecretSourceShape)
    .min(1)
    .max(16)
    .optional()
    .describe(
      'Keys of a sealed workspace, each `{"file": PATH}` or `{"env": NAME}`: parameters and answers are opened, and errors, log lines, artifacts and questions are sealed before they leave. The first one seals, all of them open. Create one with `towpath workspace new-key`. A change needs a restart.',
    ),
  sealedOnly: z
    .boolean()
    .default(false)
    .describe(
      "True: refuses runs and answers with plain values even if the control plane says that the workspace is not sealed. Needs `workspaceKeys`.",
    ),
  logs: z
    .enum(["sealed", "stored"])
    .optional()
    .describe(
      '`"sealed"`: log lines leave only as ciphertext. `"stored"`: the texts of log lines stay in the store of the run, as sealed files, and a worker sends them to readers on demand. Both need `workspaceKeys`. Unset: lines leave sealed if there are `workspaceKeys`, else as plain text. The control plane cannot change it.',
    ),
  python: z
    .strictObject({
      interpreters: z.record(Name, z.string().min(1)).default({}),
      indexes: z.record(Name, PythonIndexShape).default({}),
      environmentBytes: z
        .int()
        .min(MIB)
        .default(20 * 1024 * MIB),
    })
    .prefault({})
    .describe(
      'Python for flows. `interpreters` are paths by name, such as `{"conda": "/opt/conda/bin/python"}`; `default` is for flows that name none, else the one that `TOWPATH_PYTHON` names, else `python3` of the PATH. `indexes` are package indexes by name, each `{"url": URL}`, with `username` and `password` if needed, or `{"folder": PATH}` with wheels; the worker contacts no other. `default` is for locks that name none. Above `environmentBytes` (default: 20 GiB) the worker removes the environments that were not used for the longest time.',
    ),
  runAs: RunAsShape.default("auto").describe(
    `The user that each run has on this machine. \`"users"\`: a user of its own for each attempt, from \`{"uids": "FIRST-LAST"}\` or else ${DEFAULT_UIDS}; the worker must be root, and starts only if that works. \`"worker"\`: the worker's user, so all runs of this worker can read what the worker can. \`"auto"\`: users if the worker is root and the machine allows it, else the worker's user with a warning.`,
  ),
  namespaces: NamespacesShape.optional().describe(
    'What each run sees of this machine, where Linux and the program `bwrap` (bubblewrap) allow namespaces: only its own processes and files, the programs, and the stores. `"auto"`: if that is possible. `"required"` or `{"bwrap": PATH}`: the worker starts only if it is. `false`: never. Unset: `"auto"`, or `false` if `runAs` is `"worker"`.',
  ),
  flowFolders: z
    .strictObject({
      read: z.array(z.string().min(1)).max(FOLDERS_MAX).default([]),
      write: z.array(z.string().min(1)).max(FOLDERS_MAX).default([]),
    })
    .prefault({})
    .describe(
      "Folders of this machine that runs in namespaces may read or write. Without it they read what every program may, outside of home folders, `/tmp` and `/run`, and write only to stores and to their own folders.",
    ),
  npm: NpmShape.optional().describe(
    'Where the packages come from that flows do not bundle: `{"registry": URL}`, with `username` and `password`, or `token`, if it needs a login. With `cache`, a cache folder of npm that was filled from this registry, the worker contacts nothing; without it, only the registry. Unset: such flows are refused. Their disk space counts as `python.environmentBytes`.',
  ),
  envAllow: z
    .array(z.string().regex(NAME_PATTERN))
    .max(256)
    .default(["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"])
    .describe("Variables of the worker's environment that flows see."),
  verify: z
    .literal("require")
    .default("require")
    .describe("The worker refuses specs without a trusted signature. This cannot be turned off."),
  drainMs: DurationMs.default(30_000).describe(
    "How long runs may continue after SIGTERM before they are evicted.",
  ),
  retainResultsMs: DurationMs.min(3_600_000)
    .optional()
    .describe("How long values in a store that is a folder are kept. Unset: until they are deleted."),
  retainJournalsMs: DurationMs.min(3_600_000)
    .default(7 * 24 * 3_600_000)
    .describe("How long journals of runs that have ended are kept, for `towpath wire`."),
  journal: z
    .strictObject({
      controlBytes: z.int().min(JOURNAL_BYTES_MIN).optional(),
      bulkBytes: z.int().min(JOURNAL_BYTES_MIN).optional(),
    })
    .default({})
    .describe(
      "The largest journal of a run, bytes: `controlBytes` for state changes, `bulkBytes` for log lines and artifacts.",
    ),
  breakerFailures: z
    .int()
    .min(1)
    .max(1000)
    .default(5)
    .describe(
      "The worker pauses after this many starts in a row that failed because of the worker itself. Refused runs of one deployment count once.",
    ),
  refusalsInRow: z
    .int()
    .min(1)
    .max(1000)
    .default(5)
    .describe(
      "After so many refused runs of one version in a row, the worker gives the version's runs back for a while: for 1 s, then for twice as long each time, up to 60 s. Runs of other versions and deployments go on. `towpath why` says it.",
    ),
  logLevel: z
    .enum(["debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("The level of its own log."),
});

/** The content of a settings file. */
export type WorkerSettings = z.input<typeof Settings>;
