import { DurationMs, Name } from "@towpath/contract";
import { z } from "zod";

/** How long a command or a Vault may take to answer, milliseconds. */
const TimeoutMs = DurationMs.min(100).max(60_000).default(10_000);
/** How long a value is used before it is read again, milliseconds. */
const cacheMs = (ms: number) => DurationMs.min(1_000).max(86_400_000).default(ms);

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

const ExecShape = z.strictObject({
  command: z.array(z.string().min(1).max(4_096)).min(1).max(64),
  variables: z.array(z.string().regex(VARIABLE)).max(64).default([]),
  timeoutMs: TimeoutMs,
  cacheMs: cacheMs(300_000),
});

const VaultValueShape = z.strictObject({
  name: Name.default("default"),
  mount: z.string().min(1).max(256).default("secret"),
  path: z.string().min(1).max(1_024),
  field: z.string().min(1).max(256),
  kv: z.union([z.literal(1), z.literal(2)]).default(2),
  cacheMs: cacheMs(60_000),
});

/** A source that needs no Vault, for the credentials of a Vault itself. */
const LocalSourceShape = z
  .strictObject({
    file: z.string().min(1).optional(),
    env: z.string().min(1).optional(),
    exec: ExecShape.optional(),
  })
  .refine((source) => Object.keys(source).length === 1, {
    message: 'give one of {"file": PATH}, {"env": NAME} and {"exec": {"command": [...]}}',
  });

/** Where a secret's value comes from: a file, a variable of the worker's own environment, a command, or a Vault. */
export const SecretSourceShape = z
  .strictObject({ ...LocalSourceShape.shape, vault: VaultValueShape.optional() })
  .refine((source) => Object.keys(source).length === 1, {
    message:
      'give one of {"file": PATH}, {"env": NAME}, {"exec": {"command": [...]}} and {"vault": {"path": PATH, "field": FIELD}}',
  });

const Mount = (name: string) => z.string().min(1).max(256).default(name);

const VaultAuthShape = z.discriminatedUnion("method", [
  z.strictObject({ method: z.literal("token"), token: LocalSourceShape }),
  z.strictObject({
    method: z.literal("approle"),
    mount: Mount("approle"),
    roleId: LocalSourceShape,
    secretId: LocalSourceShape,
  }),
  z.strictObject({
    method: z.literal("kubernetes"),
    mount: Mount("kubernetes"),
    role: z.string().min(1).max(256),
    token: LocalSourceShape.default({ file: "/var/run/secrets/kubernetes.io/serviceaccount/token" }),
  }),
]);

/** Beyond this machine, others on the network could read its tokens and secrets. */
function isEncryptedOrLocal(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return protocol === "https:" || /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}

/** A HashiCorp Vault or OpenBao, and how the worker logs in there. */
export const VaultShape = z.strictObject({
  address: z
    .url({
      protocol: /^https?$/,
      error: "the address of a Vault, such as https://vault.internal:8200",
      abort: true,
    })
    .refine(isEncryptedOrLocal, "use https://, because the worker's token and the secrets travel there"),
  namespace: z.string().min(1).max(256).optional(),
  ca: z.string().min(1).optional(),
  auth: VaultAuthShape,
  timeoutMs: TimeoutMs,
});

/** The settings of a Vault, parsed. */
export type ShapedVault = z.output<typeof VaultShape>;

/** A value in a file, or in a variable of the worker's environment. */
export type PlainSource = { readonly file: string } | { readonly env: string };

/** A value that a command prints. */
export interface ExecSource {
  readonly exec: Readonly<Omit<z.output<typeof ExecShape>, "command">> & {
    readonly command: readonly [string, ...string[]];
    /** The folder in which it runs. */
    readonly folder: string;
  };
}

/** A field of a secret in a Vault. */
export interface VaultSource {
  readonly vault: Readonly<Omit<z.output<typeof VaultValueShape>, "name">> & { readonly server: VaultServer };
}

/** The sources of a Vault's own credentials. */
export type LocalSource = PlainSource | ExecSource;
/** Where a secret's value comes from, with absolute paths and all that reading it needs. */
export type SecretSource = LocalSource | VaultSource;

/** A Vault as it is asked. */
export interface VaultServer {
  /** Its name in the configuration. */
  readonly name: string;
  readonly address: string;
  readonly namespace: string | null;
  /** The path of its authority's certificate. Null: those that Node trusts. */
  readonly ca: string | null;
  readonly auth:
    | { readonly method: "token"; readonly token: LocalSource }
    | {
        readonly method: "approle";
        readonly mount: string;
        readonly roleId: LocalSource;
        readonly secretId: LocalSource;
      }
    | {
        readonly method: "kubernetes";
        readonly mount: string;
        readonly role: string;
        readonly token: LocalSource;
      };
  readonly timeoutMs: number;
}

/** What the sources of a configuration refer to. */
export interface SourceGround {
  /** Where relative paths start. */
  readonly folder: string;
  readonly vaults: Readonly<Record<string, ShapedVault>>;
}
