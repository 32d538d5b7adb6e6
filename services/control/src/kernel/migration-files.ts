import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";

/**
 * How a migration is applied. `transaction`: all of it in one, with its record. `concurrent`: statement by statement
 * outside of a transaction, as `create index concurrently` requires. `batches`: its statements repeatedly, a
 * transaction each, until they change no row.
 */
export type MigrationKind = "transaction" | "concurrent" | "batches";

/** A parsed migration file. */
export interface Migration {
  /** The file's name without its extension. */
  readonly tag: string;
  /** The key of the migration's record: the journal's `when`, unique and rising. */
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

/** Parses one migration. The line `-- migration: concurrent` or `-- migration: batches` sets its kind. */
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

/** Reads the migrations of a folder's journal, in its order. @param folder ends with a slash */
export async function readMigrations(folder: URL): Promise<Migration[]> {
  const read = (path: string) => readFile(new URL(path, folder), "utf8");
  const { entries } = Journal.parse(JSON.parse(await read("meta/_journal.json")));
  return Promise.all(
    entries.map(async ({ tag, when }) => readMigration({ tag, when, text: await read(`${tag}.sql`) })),
  );
}
