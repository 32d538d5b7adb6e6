import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";

/** Seconds between the signal and SIGKILL. */
const PATIENCE_SECONDS = 5;

/**
 * Reads from its input which processes to end and which folders to remove, and does it when the input closes. The input closes when
 * the test process ends, even by SIGKILL. Ctrl-C at a terminal must not end the guard before that.
 */
const SCRIPT = `
trap '' INT TERM HUP
processes= folders=
while read -r what name signal; do
  case $what in
    process) processes="$processes $name:$signal" ;;
    folder) folders="$folders $name" ;;
    over) processes=$(for one in $processes; do [ "\${one%:*}" = "$name" ] || printf ' %s' "$one"; done) ;;
  esac
done
for one in $processes; do kill -s "\${one#*:}" "\${one%:*}"; done 2>/dev/null
for left in ${"x ".repeat(PATIENCE_SECONDS * 10)}; do
  alive=
  for one in $processes; do kill -0 "\${one%:*}" && alive=yes; done 2>/dev/null
  [ -z "$alive" ] && break
  sleep 0.1
done
for one in $processes; do kill -s KILL "\${one%:*}"; done 2>/dev/null
for folder in $folders; do
  ps -A -ww -o pid= -o args= | while read -r pid args; do
    case $args in *"$folder"*) kill -s KILL "$pid" ;; esac
  done 2>/dev/null
  rm -rf "$folder"
done
`;

let guard: ChildProcess | null = null;

function tell(line: string): void {
  if (guard === null) {
    guard = spawn("sh", ["-c", SCRIPT], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    // The guard waits for this process to end, so it must not keep the process alive.
    guard.unref();
    if (guard.stdin !== null && "unref" in guard.stdin && typeof guard.stdin.unref === "function") {
      guard.stdin.unref();
    }
    guard.stdin?.on("error", () => {});
  }
  guard.stdin?.write(`${line}\n`);
}

/**
 * Ends a process when this one ends, even by SIGKILL: first with the signal, then with SIGKILL.
 * @returns Call it once the process has ended by itself, since its pid may then belong to another process.
 */
export function endWithUs(pid: number, signal: "TERM" | "INT" = "TERM"): () => void {
  tell(`process ${pid} ${signal}`);
  return () => tell(`over ${pid}`);
}

/**
 * Removes a folder when this process ends, and kills every process that names the folder in its command line. A killed worker leaves
 * its runners for the next worker, and in a test there is none. The path must not hold spaces.
 */
export function removeWithUs(folder: string): void {
  tell(`folder ${folder}`);
}

/** Kills every process that names a folder in its command line. */
export async function endThoseOf(folder: string): Promise<void> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-ww", "-o", "pid=", "-o", "args="]);
  for (const line of stdout.split("\n")) {
    const pid = Number.parseInt(line, 10);
    if (!line.includes(folder) || pid === process.pid) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
}
