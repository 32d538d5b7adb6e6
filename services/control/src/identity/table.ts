import type { Role } from "@towpath/contract";
import { pgTable, text, uuid } from "#sql";
import { bytea, instant } from "../kernel/index.ts";

/** The customer. */
export const organization = pgTable("organization", {
  id: uuid("id").primaryKey(),
  name: text("name").notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
});

/** The tenant boundary. */
export const workspace = pgTable("workspace", {
  id: uuid("id").primaryKey(),
  organizationId: uuid("organization_id").notNull(),
  name: text("name").notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
  /** Since when it takes no plain values. */
  sealedAt: instant("sealed_at"),
});

/** Keys of people, programs and workers. The table holds the SHA-256 of a secret, never the secret. */
export const accessKey = pgTable("access_key", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  kind: text("kind").$type<"api" | "worker">().notNull(),
  name: text("name").notNull(),
  role: text("role").$type<Role>(),
  poolName: text("pool_name"),
  secretHash: bytea("secret_hash").notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
  lastUsedAt: instant("last_used_at"),
  revokedAt: instant("revoked_at"),
});

/** Links that sign one browser in, once. */
export const signInLink = pgTable("sign_in_link", {
  tokenHash: bytea("token_hash").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  keyId: uuid("key_id").notNull(),
  expiresAt: instant("expires_at").notNull(),
  usedAt: instant("used_at"),
});

/** Signed-in browsers. A session acts as the key that created its link, and ends with that key. */
export const browserSession = pgTable("browser_session", {
  tokenHash: bytea("token_hash").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  keyId: uuid("key_id").notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
  expiresAt: instant("expires_at").notNull(),
});
