import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { joinLedger, LEDGER_FILE, type Ledger, LedgerError, shortHash } from "@towpath/contract/ledger";
import { EXIT, Failure } from "../failure.ts";
import { whileLocked } from "../kernel/file-lock.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { writeWhole } from "../kernel/state-folder.ts";
import { type Output, printable } from "../output.ts";
import type { Carry, Root } from "../program.ts";
import { headText, ledgerFile, ledgerText, readLedger } from "./ledger.ts";

/** The ledger of a project. @throws Failure `no-ledger`. */
function existingLedger(invocation: Invocation, project: string): string {
  const file = ledgerFile(resolve(invocation.cwd, project));
  if (existsSync(file)) return file;
  throw new Failure(`There is no ${LEDGER_FILE} in ${resolve(invocation.cwd, project)}.`, {
    exit: "notFound",
    code: "no-ledger",
    next: [
      "the first `towpath deploy` to a control plane creates it",
      "or give the project's folder with --project",
    ],
  });
}

/** The last number of each deployment, and the numbers that were signed twice. */
function summary({ lines }: Ledger) {
  const byName = Map.groupBy(lines, ({ entry }) => `${entry.deployment} ${entry.workspace}`);
  return [...byName.values()].map((of) => {
    const entries = of.map(({ entry }) => entry);
    const last = entries.reduce((best, one) => (one.version >= best.version ? one : best));
    const counts = Map.groupBy(entries, ({ version }) => version);
    const twice = [...counts].filter(([, same]) => new Set(same.map(({ spec }) => spec)).size > 1);
    return { last, lines: of.length, signedTwice: twice.map(([version]) => version) };
  });
}

function printSummary(output: Output, ledger: Ledger): void {
  const rows = summary(ledger);
  output.table(
    ["DEPLOYMENT", "WORKSPACE", "LAST", "FLOOR", "EXPIRES", "SIGNED BY", "LINES"],
    rows.map(({ last, lines }) => [
      printable(last.deployment),
      last.workspace,
      `v${last.version}`,
      `v${last.floor}`,
      last.expiresAt?.slice(0, 10) ?? "never",
      printable(last.keyId.slice(0, 12)),
      String(lines),
    ]),
  );
  for (const { last, signedTwice } of rows)
    if (signedTwice.length > 0)
      output.note(
        `${output.style.yellow("!")} ${printable(last.deployment)}: two deployers signed ${signedTwice.map((one) => `v${one}`).join(", ")} at the same time; workers accept either`,
      );
  output.line(`head ${headText(ledger.heads)}`);
}

function countedLines({ hashes }: Ledger): string {
  return `${hashes.size} ${hashes.size === 1 ? "line" : "lines"}`;
}

/** `towpath ledger verify` */
async function verifyLedger(invocation: Invocation, options: { project: string; head?: string | undefined }) {
  const { output } = invocation;
  const file = existingLedger(invocation, options.project);
  const ledger = await readLedger(file);
  const { head } = options;
  const { lines, heads } = ledger;
  output.data({ file, lines: lines.length, heads, deployments: summary(ledger) });
  if (head !== undefined && ![...ledger.hashes].some((hash) => hash.startsWith(head)))
    throw new Failure(`The ledger has no line ${head}.`, {
      exit: "invalidInput",
      code: "head-missing",
      next: [
        "an earlier deploy printed this head: lines were removed since, or this copy is older; `git pull`",
      ],
    });
  output.line(`${output.style.green("✓")} ${countedLines(ledger)}, the chain is whole`);
  if (!output.json) printSummary(output, ledger);
  return EXIT.ok;
}

/** `towpath ledger merge`: repairs the ledger after a conflict of git. Repeating it changes nothing. */
async function mergeLedger(invocation: Invocation, options: { project: string }) {
  const { output } = invocation;
  const file = existingLedger(invocation, options.project);
  const { before, after } = await whileLocked(file, async () => {
    const before = await ledgerText(file);
    const after = joined(file, before);
    if (after.text !== before) await writeWhole(file, after.text);
    return { before, after };
  });
  const { lines, heads } = after.ledger;
  output.data({ file, lines: lines.length, heads, changed: after.text !== before });
  output.line(
    after.text === before
      ? "The ledger has no conflict. Nothing was changed."
      : `${output.style.green("✓")} kept ${countedLines(after.ledger)} of both sides, heads ${heads.map(shortHash).join(", ")}`,
  );
  if (after.text !== before) {
    if (!output.json) printSummary(output, after.ledger);
    output.next(`\`git add ${LEDGER_FILE}\` and finish the merge; the next deploy joins the heads`);
  }
  return EXIT.ok;
}

function joined(file: string, text: string) {
  try {
    return joinLedger(text);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    throw new Failure(`${file}: ${error.message}`, {
      exit: "configuration",
      code: "ledger-broken",
      next: [
        "take both sides of the conflict from git: `git checkout --merge` on the file, then this command",
      ],
      cause: error,
    });
  }
}

/** Declares `ledger`. */
export function declareLedger(root: Root, carry: Carry): void {
  const group = root
    .command("ledger")
    .summary("check and repair the list of what you signed")
    .description(
      `Checks and repairs ${LEDGER_FILE}, the list of the specs that were signed for this project. A deploy appends a line and takes the next number from it, so that the control plane cannot choose numbers. Commit it.`,
    );
  group
    .command("verify")
    .description("Checks the chain of lines, and lists the last version of each deployment.")
    .option("--project <dir>", "use the project in this folder", ".")
    .option("--head <hash>", "also check that this line, which an earlier deploy printed, is still there")
    .action((options, command) => carry(command, (invocation) => verifyLedger(invocation, options)));
  group
    .command("merge")
    .description("Keeps the lines of both sides after a conflict of git.")
    .option("--project <dir>", "use the project in this folder", ".")
    .action((options, command) => carry(command, (invocation) => mergeLedger(invocation, options)));
}
