import { z } from "zod";
import { Id, Instant, Name } from "../kernel/names.ts";

/** The permissions that routes require. `public` needs no key; `worker-key` and `worker` are for workers only. */
export const PERMISSIONS = ["public", "read", "run", "deploy", "admin", "worker-key", "worker"] as const;

/** One permission. */
export type Permission = (typeof PERMISSIONS)[number];

/** The permissions of each role in a workspace. */
export const ROLES = {
  viewer: ["read"],
  operator: ["read", "run"],
  developer: ["read", "run", "deploy"],
  admin: ["read", "run", "deploy", "admin"],
} as const satisfies Record<string, readonly Permission[]>;

/** A role inside a workspace. */
export type Role = keyof typeof ROLES;

/** The role on the wire. */
export const RoleName = z.enum(["viewer", "operator", "developer", "admin"]);

/** Prefixes of keys, so that secret scanners recognise them. A key reads `prefix_id_secret`. */
export const KEY_PREFIXES = { api: "twp_api", worker: "twp_wkr" } as const;

/** What a key is for. */
export const KeyKind = z.enum(["api", "worker"]);

/** A key without its secret. */
export const Key = z.object({
  id: Id,
  kind: KeyKind,
  name: Name,
  role: RoleName.nullable().describe("Null for worker keys."),
  pool: Name.nullable().describe(
    "The pool that a worker key may serve. Null: any pool of the workspace, or an API key.",
  ),
  createdAt: Instant,
  lastUsedAt: Instant.nullable(),
  revokedAt: Instant.nullable(),
});
export type Key = z.infer<typeof Key>;

/** Creates a key. */
export const CreateKey = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("api"), name: Name, role: RoleName.default("developer") }),
  z.object({ kind: z.literal("worker"), name: Name, pool: Name.nullable().default(null) }),
]);
export type CreateKey = z.input<typeof CreateKey>;

/** A new key with its secret, which is shown only once. */
export const CreatedKey = z.object({
  key: Key,
  secret: z.string().describe("The whole key. It is not stored; copy it now."),
});
export type CreatedKey = z.infer<typeof CreatedKey>;

/** Who is calling, and where. */
export const Me = z.object({
  organization: z.object({ id: Id, name: z.string() }),
  workspace: z.object({
    id: Id,
    name: Name,
    sealed: z.boolean().default(false).describe("Whether it refuses plain values in sealed fields."),
  }),
  key: z.object({ id: Id, name: Name, role: RoleName }),
  server: z.object({ version: z.string(), now: Instant }),
});
export type Me = z.infer<typeof Me>;

/** Turns the sealing of the workspace on or off. */
export const SetSealing = z.strictObject({
  sealed: z.boolean().describe("True: from now on the workspace refuses plain values in sealed fields."),
});
export type SetSealing = z.infer<typeof SetSealing>;

/** Whether the workspace refuses plain values. */
export const Sealing = z.object({ sealed: z.boolean() });
export type Sealing = z.infer<typeof Sealing>;

/** A link that signs a browser in once, within ten minutes. */
export const SignInLink = z.object({ url: z.string(), expiresAt: Instant });
export type SignInLink = z.infer<typeof SignInLink>;

/** A signed-in browser without its secret. */
export const BrowserSession = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  key: z
    .object({ id: Id, name: Name })
    .describe("The key whose link signed it in, and whose permissions it has."),
  createdAt: Instant,
  expiresAt: Instant,
  current: z.boolean().describe("Whether it is the browser that sends this request."),
});
export type BrowserSession = z.infer<typeof BrowserSession>;

/** For this time after its sign-in a browser may create things that outlive its session, such as keys, milliseconds. */
export const FRESH_SIGN_IN_MS: number = 15 * 60_000;
