import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { copyBinaries, findBinaries, type PostgresBinaries } from "./binaries.ts";
import { PostgresStartError } from "./errors.ts";
import { canEnter, canExecute, findUnprivilegedAccount, type RunAs } from "./run-as.ts";

/** The folder of a server and the user who runs it. */
export interface Placement {
  /** The folder of the data directory and the files beside it. */
  root: string;
  binaries: PostgresBinaries;
  runAs: RunAs;
}

/** Where root keeps a database if no unprivileged user can enter the intended directory. Survives a reboot. */
const MACHINE_STATE_DIR = "/var/lib";

/**
 * Decides where the server's files are and which user runs it.
 *
 * For an ordinary user: in `dir`, as that user. For root, in this order: as `nobody` in `dir`; if `nobody` cannot enter
 * `dir`, in a user namespace, where root keeps the files; if the kernel forbids that too, as `nobody` in a directory of
 * the machine whose name is kept in `dir`.
 * @throws PostgresStartError `directory-not-writable`, `no-unprivileged-user` or `unsupported-platform`.
 */
export async function placeServer(args: {
  dir: string;
  log: (line: string) => void;
  /** @default true */
  allowNamespace?: boolean;
}): Promise<Placement> {
  await makeWritable(args.dir);
  const binaries = await findBinaries();
  if (process.getuid?.() !== 0) return withReadableBinaries(args.dir, binaries, { kind: "self" });
  const account = await findUnprivilegedAccount();
  if (account === undefined) throw noAccount();
  const asAccount: RunAs = { kind: "account", ...account };
  const moved = await readLocation(args.dir);
  if (moved === undefined) {
    // Private files have modes of their own; the account only passes through this directory.
    await chmod(args.dir, 0o711);
    if (await canEnter(asAccount, args.dir)) return withReadableBinaries(args.dir, binaries, asAccount);
    const inNamespace: RunAs = { kind: "namespace", ...account };
    const works = args.allowNamespace !== false && (await canExecute(inNamespace, binaries.postgres));
    if (works && (await canEnter(inNamespace, args.dir)))
      return { root: args.dir, binaries, runAs: inNamespace };
  }
  const root = moved ?? (await makeMachineDirectory(args.dir, asAccount));
  args.log(`other users cannot enter ${args.dir}, so the database is in ${root}`);
  return withReadableBinaries(root, binaries, asAccount);
}

/** Gives every file of a data directory to the user who runs the server. Does nothing if that user owns it already. */
export async function giveFiles(path: string, runAs: RunAs): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const owner = runAs.kind === "account" ? runAs : { uid: 0, gid: 0 };
  if ((await lstat(path)).uid === owner.uid) return;
  await Promise.all(
    (await readdir(path, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .map((entry) => chown(join(entry.parentPath, entry.name), owner.uid, owner.gid)),
  );
  // The directory itself comes last: after a crash the next start repeats all of it.
  await chown(path, owner.uid, owner.gid);
}

async function makeWritable(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const probe = await mkdtemp(join(dir, ".probe-"));
    await rmdir(probe);
  } catch (cause) {
    throw notWritable(dir, cause);
  }
}

async function withReadableBinaries(
  root: string,
  binaries: PostgresBinaries,
  runAs: RunAs,
): Promise<Placement> {
  if (await canExecute(runAs, binaries.postgres)) return { root, binaries, runAs };
  const copied = await copyBinaries(binaries, join(root, "binaries"));
  if (await canExecute(runAs, copied.postgres)) return { root, binaries: copied, runAs };
  throw new PostgresStartError(
    "unsupported-platform",
    "The embedded database's programs do not run on this machine (they need glibc and an executable file system). " +
      "Set DATABASE_URL to a Postgres 15 or later.",
  );
}

/** The folder of the files according to `dir`. Undefined: `dir` itself. */
export async function readLocation(dir: string): Promise<string | undefined> {
  const text = (await readFile(join(dir, "location"), "utf8").catch(() => "")).trim();
  if (text === "" || !isAbsolute(text)) return undefined;
  const present = await lstat(text).catch(() => undefined);
  return present?.isDirectory() && present.uid === 0 ? text : undefined;
}

async function makeMachineDirectory(dir: string, account: RunAs): Promise<string> {
  for (const parent of [MACHINE_STATE_DIR, tmpdir()]) {
    const made = await mkdtemp(join(parent, "towpath-postgres-")).catch(() => undefined);
    if (made === undefined) continue;
    await chmod(made, 0o711);
    if (!(await canEnter(account, made))) continue;
    await writeFile(join(dir, "location"), `${made}\n`, { mode: 0o600 });
    return made;
  }
  throw notWritable(MACHINE_STATE_DIR, undefined);
}

function notWritable(dir: string, cause: unknown): PostgresStartError {
  return new PostgresStartError(
    "directory-not-writable",
    `Towpath cannot write to ${dir}. Make it writable for this user, or start with another state directory.`,
    cause,
  );
}

function noAccount(): PostgresStartError {
  return new PostgresStartError(
    "no-unprivileged-user",
    "Postgres refuses to run as root and this machine has no user named nobody. " +
      "Start Towpath as an ordinary user, or set DATABASE_URL to a Postgres 15 or later.",
  );
}
