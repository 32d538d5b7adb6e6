import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";

/**
 * How a migration is carried out. `transaction`: all of it in one, with its record. `concurrent`: statement by statement
 * outside of any, as `create index concurrently` must be. `batches`: its one statement again and again, a transaction
 * each, until it changes no row.
 */
export type MigrationKind = "transaction" | "concurrent" | "batches";

/** A migration as its file says. */
export interface Migration {
  /** The file's name without its ending. */
  readonly tag: string;
  /** What the database remembers it by: the journal's `when`, unique and rising. */
  readonly when: number;
  readonly hash: string;
  readonly kind: MigrationKind;
  readonly statements: readonly string[];
}

const Journal = z.object({
  entries: z.array(z.object({ tag: z.string().regex(/^\d{4}_\w+$/), when: z.int().positive() })).min(1),
});

const BREAKPOINT = "--> statement-breakpoint";
const KIND = /^-- migration: (concurrent|batches)$/m;

function kindOf(text: string): MigrationKind {
  const [, kind] = KIND.exec(text) ?? [];
  return kind === "concurrent" || kind === "batches" ? kind : "transaction";
}

/** Reads one migration. A line `-- migration: concurrent` or `-- migration: batches` in it says how it is carried out. */
export function readMigration(args: { tag: string; when: number; text: string }): Migration {
  const statements = args.text.split(BREAKPOINT).map((statement) => statement.trim());
  return {
    tag: args.tag,
    when: args.when,
    kind: kindOf(args.text),
    hash: createHash("sha256").update(args.text).digest("hex"),
    statements: statements.filter((statement) => statement !== ""),
  };
}

/** Reads the migrations that a folder's journal names, in its order. @param folder ends with a slash */
export async function readMigrations(folder: URL): Promise<Migration[]> {
  const read = (path: string) => readFile(new URL(path, folder), "utf8");
  const { entries } = Journal.parse(JSON.parse(await read("meta/_journal.json")));
  return Promise.all(
    entries.map(async ({ tag, when }) => readMigration({ tag, when, text: await read(`${tag}.sql`) })),
  );
}
