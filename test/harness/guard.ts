import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";

/** How long what is ended has until it is killed, seconds. */
const PATIENCE_SECONDS = 5;

/**
 * Reads what to end and what to remove, and does so at the end of its input: when whoever wrote it has gone, however it
 * went. A signal that is meant for everybody at a terminal must not take it before that.
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
    // It waits for our end, and must not put it off.
    guard.unref();
    if (guard.stdin !== null && "unref" in guard.stdin && typeof guard.stdin.unref === "function") {
      guard.stdin.unref();
    }
    guard.stdin?.on("error", () => {});
  }
  guard.stdin?.write(`${line}\n`);
}

/**
 * Lets a process not outlive this one: should this one be killed, it gets the signal, and SIGKILL if it does not go.
 * @returns to be called once it has ended by itself: its number may then be another's
 */
export function endWithUs(pid: number, signal: "TERM" | "INT" = "TERM"): () => void {
  tell(`process ${pid} ${signal}`);
  return () => tell(`over ${pid}`);
}

/**
 * Lets a folder not outlive this process, nor those that end with it, nor any process that names it in its command line: a
 * worker that was killed leaves its runners to the next one, which will not come. Its path must not hold spaces.
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
      // It has gone by itself meanwhile.
    }
  }
}
