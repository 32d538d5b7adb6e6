import type { Spec } from "@towpath/contract";
import { integer, jsonb, pgTable, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";

/** A named spec with versions. Its row is the lock for registering the next version. */
export const deployment = pgTable("deployment", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  name: text("name").notNull(),
  latestVersion: integer("latest_version").notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
  /** The latest version when it was removed. A later version brings it back. Null: never removed. */
  removedVersion: integer("removed_version"),
  /** Who removed it last. */
  removedBy: text("removed_by"),
});

/** One signed version. `spec` is the decoded payload; workers trust only `specJws`. */
export const deploymentVersion = pgTable("deployment_version", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  deploymentId: uuid("deployment_id").notNull(),
  version: integer("version").notNull(),
  poolId: uuid("pool_id").notNull(),
  keyId: text("key_id").notNull(),
  specJws: text("spec_jws").notNull(),
  spec: jsonb("spec").$type<Spec>().notNull(),
  registeredBy: text("registered_by").notNull(),
  registeredAt: instant("registered_at").notNull().defaultNow(),
});
