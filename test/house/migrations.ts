import { below, descend, each, type Node, readSql, type Statement, tableOf, text } from "./sql-tree.ts";

/** The last migration of the first release: nothing older runs beside it. What comes after it is judged. */
export const BASELINE = 29;

/** Tables that grow with what people set up, not with what runs: an index or an update takes milliseconds there. */
const SMALL_TABLES: ReadonlySet<string> = new Set([
  "installation",
  "presence",
  "change_feed",
  "organization",
  "workspace",
  "access_key",
  "sign_in_link",
  "browser_session",
  "pool",
  "queue",
  "worker",
  "deployment",
  "schedule",
  "backfill",
  "notifier",
  "slot_limit",
  "deployment_limit",
]);

/** A migration as it lies in its folder. */
export interface MigrationFile {
  /** Such as `0030_what`. */
  readonly tag: string;
  readonly text: string;
}

/** What is wrong with a migration, and what to do instead. */
export interface MigrationFault {
  readonly tag: string;
  readonly fault: string;
}

/** What a file says of itself, and what it makes. */
interface Ground {
  readonly kind: "transaction" | "concurrent" | "batches";
  /** The release that stopped using what is taken away here; null: nothing may be taken away. */
  readonly contract: string | null;
  /** Tables that this very file makes: nobody uses them yet. */
  readonly made: ReadonlySet<string>;
  readonly version: string;
}

type Judge = (node: Node, ground: Ground) => string[];

const isFree = (table: string, { made }: Ground) => made.has(table);
const isSmall = (table: string, ground: Ground) => isFree(table, ground) || SMALL_TABLES.has(table);

/** Functions whose value is the same for all rows of a statement: such a default is stored once and rewrites nothing. */
const ONE_VALUE = new Set(["now"]);

function isConstant(value: Node): boolean {
  return [...descend(value)].every(({ sort, node }) => {
    if (sort === "FuncCall")
      return each(node, "funcname").every(({ node: name }) => ONE_VALUE.has(text(name, "sval")));
    return sort !== "ColumnRef" && sort !== "SubLink" && sort !== "SelectStmt";
  });
}

const COLUMN_FAULTS: Record<string, string> = {
  CONSTR_CHECK:
    "a check on a new column reads the whole table under a lock: add it in its own step, `not valid`",
  CONSTR_FOREIGN:
    "a reference on a new column locks both tables: add the constraint in its own step, `not valid`",
  CONSTR_UNIQUE: "a unique column builds its index under a lock: build a unique index concurrently",
  CONSTR_PRIMARY: "a primary key builds its index under a lock",
  CONSTR_GENERATED:
    "a stored generated column rewrites the table: add a plain column and write it from the code",
  CONSTR_IDENTITY: "an identity column rewrites the table",
};

const SERIALS = new Set(["serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"]);

function judgeColumn(column: Node): string[] {
  const constraints = each(column, "constraints").map(({ node }) => node);
  const sorts = constraints.map((node) => text(node, "contype"));
  const types = each(below(column, "typeName"), "names").map(({ node }) => text(node, "sval"));
  const faults = sorts.flatMap((sort) => COLUMN_FAULTS[sort] ?? []);
  const given = constraints.find((node) => text(node, "contype") === "CONSTR_DEFAULT");
  if (given !== undefined && !isConstant(below(given, "raw_expr")))
    faults.push("a default that differs from row to row rewrites the table");
  if (sorts.includes("CONSTR_NOTNULL") && given === undefined)
    faults.push("a column that may not be null, without a default, fails the inserts of the release before");
  if (types.some((name) => SERIALS.has(name))) faults.push("a serial column rewrites the table");
  return faults;
}

function judgeConstraint(node: Node): string[] {
  const constraint = below(node, "def", "Constraint");
  if (constraint.indexname !== undefined || constraint.skip_validation === true) return [];
  return ["a constraint that is checked at once reads the whole table under a lock: add it `not valid`"];
}

function taken(what: string, { contract, version }: Ground): string[] {
  if (contract === null)
    return [
      `${what} takes away what the release before uses. Stop using it first; a later release takes it away, in a migration that says \`-- migration: contract VERSION\` with the release that stopped`,
    ];
  if (!isBefore(contract, version))
    return [
      `${what} is of release ${contract}, which is not before this one (${version}): processes of it may still run`,
    ];
  return [];
}

/** Whether one version, such as 0.2.0, comes before another. */
function isBefore(one: string, other: string): boolean {
  return one.localeCompare(other, "en", { numeric: true }) < 0;
}

/** What may be done to a table that is in use. Forms that are not listed are refused. */
const ALTERATIONS: Record<string, Judge> = {
  AT_AddColumn: (node) => judgeColumn(below(node, "def", "ColumnDef")),
  AT_AddConstraint: judgeConstraint,
  AT_ColumnDefault: () => [],
  AT_DropNotNull: () => [],
  AT_SetRelOptions: () => [],
  AT_SetStatistics: () => [],
  // A check is loosened by one that allows more, in the same statement.
  AT_DropConstraint: () => [],
  AT_ValidateConstraint: (_, { kind }) =>
    kind === "concurrent"
      ? []
      : ["a constraint is validated in a migration of its own, `-- migration: concurrent`"],
  AT_DropColumn: (node, ground) => taken(`dropping the column ${text(node, "name")}`, ground),
  AT_SetNotNull: () => ["`set not null` reads the whole table under a lock: add a check `not valid`"],
  AT_AlterColumnType: () => ["another type rewrites the table: add a column and fill it in batches"],
};

function judgeAlterTable(node: Node, ground: Ground): string[] {
  if (isFree(tableOf(node), ground)) return [];
  return each(node, "cmds").flatMap(({ node: command }) => {
    const form = text(command, "subtype");
    return (
      ALTERATIONS[form]?.(command, ground) ?? [`\`alter table\` in the form ${form} is not known to be safe`]
    );
  });
}

function judgeIndex(node: Node, ground: Ground): string[] {
  const table = tableOf(node);
  if (node.concurrent === true)
    return node.if_not_exists === true
      ? []
      : ["an index that is built concurrently says `if not exists`: its migration may run again"];
  if (isSmall(table, ground)) return [];
  return [
    `an index on ${table} locks out its writers: build it concurrently, in a migration that says \`-- migration: concurrent\``,
  ];
}

function judgeDrop(node: Node, ground: Ground): string[] {
  if (text(node, "removeType") === "OBJECT_INDEX" && node.concurrent === true && node.missing_ok === true)
    return [];
  if (text(node, "removeType") === "OBJECT_INDEX")
    return [
      "an index is dropped `concurrently if exists`, in a migration that says `-- migration: concurrent`",
    ];
  return taken("a drop", ground);
}

const ROW_CHANGES = new Set(["UpdateStmt", "DeleteStmt"]);
const IN_BATCHES =
  "goes over a large table: change it in batches, in a migration that says `-- migration: batches`";

function judgeRows(statement: Statement, ground: Ground): string[] {
  const changes = [{ [statement.sort]: statement.node }].flatMap((whole) => [...descend(whole)]);
  const changed = changes.filter(({ sort }) => ROW_CHANGES.has(sort)).map(({ node }) => tableOf(node));
  const large = changed.filter((table) => !isSmall(table, ground));
  if (ground.kind !== "batches")
    return large.map((table) => `a change of the rows of ${table} ${IN_BATCHES}`);
  const hasLimit = changes.some(({ node }) => node.limitCount !== undefined);
  return hasLimit ? [] : ["a batch has a `limit`"];
}

function judgeInsert(node: Node, ground: Ground): string[] {
  const source = below(node, "selectStmt", "SelectStmt");
  if (source.valuesLists !== undefined || ground.kind === "batches")
    return judgeRows({ sort: "InsertStmt", node }, ground);
  const tables = [...descend(source)]
    .filter(({ sort }) => sort === "RangeVar")
    .map(({ node: at }) => text(at, "relname"));
  return tables
    .filter((table) => !isSmall(table, ground))
    .map((table) => `an insert from ${table} ${IN_BATCHES}`);
}

function judgeTable(node: Node, { made }: Ground): string[] {
  const parents = each(node, "inhRelations").map(({ node: parent }) => text(parent, "relname"));
  return parents
    .filter((parent) => !made.has(parent))
    .map((parent) => `a partition of ${parent} locks it: the periodic jobs make partitions`);
}

/** What a migration may hold. Statements that are not listed are refused. */
const STATEMENTS: Record<string, Judge> = {
  CreateStmt: judgeTable,
  AlterTableStmt: judgeAlterTable,
  IndexStmt: judgeIndex,
  DropStmt: judgeDrop,
  RenameStmt: (node, ground) =>
    text(node, "renameType") === "OBJECT_INDEX" ? [] : taken("a rename", ground),
  UpdateStmt: (node, ground) => judgeRows({ sort: "UpdateStmt", node }, ground),
  DeleteStmt: (node, ground) => judgeRows({ sort: "DeleteStmt", node }, ground),
  SelectStmt: (node, ground) => judgeRows({ sort: "SelectStmt", node }, ground),
  InsertStmt: judgeInsert,
  CreateFunctionStmt: () => [],
  CommentStmt: () => [],
};

/** Which statements a file that says how it is carried out may hold. */
function judgeKind({ sort, node }: Statement, { kind }: Ground): string[] {
  const isConcurrent =
    node.concurrent === true ||
    each(node, "cmds").some(({ node: command }) => command.subtype === "AT_ValidateConstraint");
  if (kind === "concurrent" && !isConcurrent)
    return [
      "a migration that says `concurrent` holds only what cannot be in a transaction, since it may run again",
    ];
  if (kind !== "concurrent" && node.concurrent === true)
    return ["what is concurrent cannot be in a transaction: its migration says `-- migration: concurrent`"];
  const isBatch = ROW_CHANGES.has(sort) || sort === "InsertStmt" || sort === "SelectStmt";
  if (kind === "batches" && !isBatch) return ["a migration that says `batches` holds only changes of rows"];
  return [];
}

const MARK = /^-- migration: *(.*)$/gm;

function groundOf(file: MigrationFile, statements: readonly Statement[], version: string): Ground {
  const marks = [...file.text.matchAll(MARK)].map(([, mark = ""]) => mark);
  const [contract = null] = marks.flatMap((mark) => /^contract (\d+\.\d+\.\d+)$/.exec(mark)?.[1] ?? []);
  const kind = marks.includes("concurrent")
    ? "concurrent"
    : marks.includes("batches")
      ? "batches"
      : "transaction";
  const made = new Set(
    statements.filter(({ sort }) => sort === "CreateStmt").map(({ node }) => tableOf(node)),
  );
  return { kind, contract, made, version };
}

function unknownMarks(file: MigrationFile): string[] {
  return [...file.text.matchAll(MARK)]
    .map(([, mark = ""]) => mark)
    .filter((mark) => !/^(concurrent|batches|contract \d+\.\d+\.\d+)$/.test(mark))
    .map((mark) => `"${mark}" is no mark of a migration: concurrent, batches, or contract and a version`);
}

/**
 * Judges one migration that comes after the baseline: whether it can run while the release before serves.
 * @param version of this release
 */
export async function judgeMigration(file: MigrationFile, version: string): Promise<MigrationFault[]> {
  const read = await readSql(file.text);
  if (typeof read === "string") return [{ tag: file.tag, fault: `is not SQL that Postgres reads: ${read}` }];
  const ground = groundOf(file, read, version);
  const faults = read.flatMap((statement) => {
    const judge = STATEMENTS[statement.sort];
    return [
      ...judgeKind(statement, ground),
      ...(judge?.(statement.node, ground) ?? [
        `${statement.sort} is not known to be safe beside a running release`,
      ]),
    ];
  });
  return [...unknownMarks(file), ...faults].map((fault) => ({ tag: file.tag, fault }));
}

/** Whether a migration comes after the first release. */
export const isJudged = (file: Pick<MigrationFile, "tag">): boolean =>
  Number(file.tag.slice(0, 4)) > BASELINE;

/** An entry of the journal, which says in what order migrations run and what the database remembers them by. */
export interface JournalEntry {
  readonly idx: number;
  readonly when: number;
  readonly tag: string;
}

/** Faults of the journal: each file once, numbered without gaps, `when` rising. */
export function judgeJournal(entries: readonly JournalEntry[], tags: readonly string[]): MigrationFault[] {
  const numbered = entries.filter(
    ({ idx, tag }, index) => idx !== index || Number(tag.slice(0, 4)) !== index,
  );
  const falling = entries.filter(({ when }, index) => index > 0 && when <= (entries[index - 1]?.when ?? 0));
  const unlisted = tags.filter((tag) => !entries.some((entry) => entry.tag === tag));
  return [
    ...numbered.map(({ tag }) => ({ tag, fault: "numbers rise by one, in the name and in the journal" })),
    ...falling.map(({ tag }) => ({ tag, fault: "`when` rises from entry to entry" })),
    ...unlisted.map((tag) => ({ tag, fault: "the journal does not name it" })),
  ];
}
