import { readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { listProcesses, type ProcessRow, readProcess } from "@towpath/contract/process";
import { sleep } from "../host/index.ts";
import type { CommandLine } from "./launcher.ts";
import { INSIDE, ROOM } from "./room.ts";
import { type AttemptUser, temporaryFolder } from "./users.ts";
import { inOrder, type Mount, mountsOf, readOnly, storeParts, type View, writable } from "./view.ts";

/** What one process sees besides the common view. */
export interface Sight {
  readonly user: AttemptUser | null;
  /** The folder that it shares with the worker. */
  readonly room: string;
  /** The trees of its code and environment. Null: not known yet, so it sees those of all flows. */
  readonly trees: readonly string[] | null;
  /** Whether bubblewrap writes the number of the first process to `INFO_FD`. */
  readonly tells: boolean;
}

/** Starts processes in user, mount, process and IPC namespaces of their own. */
export interface Namespaces {
  /** The command line that starts a program in new namespaces. */
  wrap(command: CommandLine, sight: Sight): CommandLine;
}

/** The descriptor beside input, output, errors and the channel of Node. */
export const INFO_FD = 4;

/*
 * No `--die-with-parent`: an attempt outlives its worker, and the next process of the worker continues it. Bubblewrap stays
 * outside as the parent, with the exit code. Its child is the first process of the namespaces, and leads the attempt's process
 * group: it ignores SIGTERM, and its end kills all others.
 */
const SPACES = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--new-session", "--cap-drop", "ALL"];

/**
 * Prepares the mounts that are the same for each attempt.
 * @param bwrap The path of bubblewrap.
 */
export async function openNamespaces(bwrap: string, view: View): Promise<Namespaces> {
  const { first, mounts, folders, closing } = await mountsOf(view);
  return {
    wrap({ file, argv }, sight) {
      // With users, the key of a store is root's, and the engines look at the store's own folder.
      const stores = sight.user === null ? view.stores.flatMap(storeParts) : view.stores;
      const trees = (sight.trees ?? view.trees).map(readOnly);
      // The folder of all trees is closed, even if none is shown of it.
      const parents = view.trees.map((at) => ({ at: join(at, "any"), words: [] }));
      const all = [...mounts, ...stores.map(writable), ...roomMounts(sight), ...trees];
      const own = inOrder([...all, ...(sight.trees === null ? [] : parents)], folders);
      const info = sight.tells ? ["--info-fd", String(INFO_FD)] : [];
      const words = [...SPACES, ...info, ...first, ...temporaryWords(sight), ...own, ...closing];
      return { file: bwrap, argv: [...words, "--chdir", INSIDE, "--", file, ...argv] };
    },
  };
}

function temporaryWords({ user, room }: Sight): string[] {
  const temporary = user === null ? join(room, ROOM.temporary) : temporaryFolder(user);
  return ["/tmp", "/var/tmp"].flatMap((at) => ["--bind", temporary, at]);
}

function roomMounts({ user, room }: Sight): Mount[] {
  const given = join(INSIDE, ROOM.given);
  const home = user && { at: user.home, words: ["--bind", user.home, user.home] };
  return [
    { at: INSIDE, words: ["--bind", room, INSIDE] },
    { at: given, words: ["--ro-bind", join(room, ROOM.given), given] },
    ...(home === null ? [] : [home]),
  ];
}

/** The first process of new namespaces, from what bubblewrap has written. Null: it did not start one. */
export function firstProcess(info: string): number | null {
  const [, pid] = /"child-pid":\s*(\d+)/.exec(info) ?? [];
  return pid === undefined ? null : Number(pid);
}

/** How often it is looked for the program, milliseconds. Bubblewrap needs about ten to start it. */
const LOOK_MS = 2;

/**
 * Waits until the first process of namespaces has made all mounts, and has started the program. Before that, no folder may be
 * moved that it is about to mount.
 * @returns false if it has ended.
 */
export async function untilMounted(first: number): Promise<boolean> {
  for (;;) {
    if (await hasChild(first)) return true;
    const row = await readProcess(first);
    if (row === undefined || row.zombie) return false;
    await sleep(LOOK_MS);
  }
}

/** Kernels without lists of children have the processes of the namespace. */
async function hasChild(pid: number): Promise<boolean> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "latin1").catch(() => null);
  return children === null ? (await processesUnder(pid)).length > 0 : children.trim() !== "";
}

/** The running processes in the namespace of a first process, without that one. Empty if it is gone. */
export async function processesUnder(first: number): Promise<ProcessRow[]> {
  const namespace = await namespaceOf(first);
  if (namespace === null || namespace === (await namespaceOf(process.pid))) return [];
  const found = await Promise.all(
    (await listProcesses()).map(async (row) => {
      if (row.pid === first || row.zombie) return [];
      return (await namespaceOf(row.pid)) === namespace ? row : [];
    }),
  );
  return found.flat();
}

async function namespaceOf(pid: number): Promise<string | null> {
  return await readlink(`/proc/${pid}/ns/pid`).catch(() => null);
}

/**
 * Whether a process is the first or the second one of its own namespace: bubblewrap's, or the runner that it started. False for
 * a process in the worker's namespace.
 */
export async function isRunnerInside(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
  const [, numbers = ""] = /^NSpid:\s+(.+)$/m.exec(status) ?? [];
  const [, ...inner] = numbers.trim().split(/\s+/);
  return inner.length > 0 && ["1", "2"].includes(inner.at(-1) ?? "");
}
