/*
 * Attacks of a flow on its worker and on another attempt, in each language. Each prints `NAME held` or `NAME BROKEN`. The variables
 * of the environment name the targets: KEY, SETTINGS, STATE, WORKER and VICTIM (pids), VICTIM_TOKEN, VICTIM_SOCKET, VICTIM_FILES and
 * PROTECTED, a folder of root's. The worker's environment has a value that no flow may see.
 */

const PATHS = [
  "KEY",
  "SETTINGS",
  "VICTIM_TOKEN",
  "VICTIM_PARAMETERS",
  "VICTIM_WORK",
  "VICTIM_TEMPORARY",
] as const;

/** The body of a flow in TypeScript. */
export const NODE_ATTACKS = `
const fs = await import("node:fs"), net = await import("node:net"), path = await import("node:path"), os = await import("node:os");
const { execFileSync, spawn } = await import("node:child_process");
const e = process.env;
const attack = async (name, act) => {
  let outcome = "BROKEN";
  try { await act(); } catch (error) { outcome = "held " + (error.code ?? error.message); }
  console.log(name + " " + outcome);
};
console.log("uid " + process.getuid() + " gid " + process.getgid() + " groups " + process.getgroups().join(","));
const own = path.dirname(e.TOWPATH_TOKEN_FILE);
for (const name of ${JSON.stringify(PATHS)}) await attack("read-" + name, () => fs.readFileSync(e[name]));
for (const file of ["worker.json", "lock", "holder.json", "reserve"]) await attack("read-state-" + file, () => fs.readFileSync(path.join(e.STATE, file)));
for (const dir of ["", "attempts", "journals", "runners", "users", "cache", "preallocation"]) await attack("list-state-" + dir, () => fs.readdirSync(path.join(e.STATE, dir)));
await attack("write-state", () => fs.writeFileSync(path.join(e.STATE, "planted"), ""));
const without = (text) => { if (!text.includes(e.CANARY_START + "5d1c")) throw new Error("nothing"); };
for (const pid of [process.ppid, 1, e.WORKER]) await attack("environment-of-worker", () => without(fs.readFileSync("/proc/" + pid + "/environ", "latin1")));
await attack("environments-of-all", () => without(fs.readdirSync("/proc").map((pid) => { try { return fs.readFileSync("/proc/" + pid + "/environ", "latin1"); } catch { return ""; } }).join()));
for (const file of ["environ", "mem", "maps"]) await attack("victim-" + file, () => fs.readFileSync("/proc/" + e.VICTIM + "/" + file));
await attack("victim-descriptors", () => fs.readdirSync("/proc/" + e.VICTIM + "/fd"));
await attack("victim-folder", () => fs.readdirSync("/proc/" + e.VICTIM + "/cwd"));
for (const dir of [path.dirname(e.VICTIM_TOKEN), e.VICTIM_HOME]) await attack("list-victim", () => fs.readdirSync(dir));
await attack("victim-socket", () => new Promise((resolve, reject) => net.connect(e.VICTIM_SOCKET, resolve).on("error", reject)));
await attack("kill-victim", () => process.kill(Number(e.VICTIM), "SIGKILL"));
await attack("kill-worker", () => process.kill(Number(e.WORKER), "SIGKILL"));
await attack("debug-victim", () => process._debugProcess(Number(e.VICTIM)));
for (const id of ["setuid", "seteuid", "setgid", "setegid"]) await attack(id, () => process[id](0));
await attack("setgroups", () => process.setgroups([0]));
await attack("setuid-of-victim", () => process.setuid(Number(e.VICTIM_UID)));
await attack("write-code", () => fs.writeFileSync("flow.mjs", ""));
await attack("add-code", () => fs.writeFileSync("planted.mjs", ""));
await attack("open-code", () => fs.chmodSync(".", 0o777));
await attack("hard-link", () => fs.linkSync(e.KEY, path.join(own, "stolen")));
await attack("own-state", () => fs.readFileSync(path.join(own, "attempt.json")));
await attack("replace-own-state", () => { fs.lstatSync(path.join(own, "attempt.json")); fs.writeFileSync(path.join(own, "mine"), "{}"); fs.renameSync(path.join(own, "mine"), path.join(own, "attempt.json")); });
await attack("remove-own-output", () => fs.unlinkSync(path.join(own, "stdout")));
await attack("remove-own-socket", () => fs.unlinkSync(e.TOWPATH_SOCKET));
await attack("device", () => execFileSync("mknod", [path.join(own, "disk"), "b", "8", "0"], { stdio: "ignore" }));
await attack("write-others-values", () => fs.writeFileSync(path.join(e.STORE, "runs", "planted"), ""));
await attack("write-store", () => fs.writeFileSync(path.join(e.STORE, "planted"), ""));
await attack("core-dumps", () => { if (/^Max core file size +0 +0 /m.test(fs.readFileSync("/proc/self/limits", "utf8"))) throw new Error("off"); });
await attack("new-privileges", () => { if (/^NoNewPrivs:\\s+1$/m.test(fs.readFileSync("/proc/self/status", "utf8"))) throw new Error("off"); });
console.log("temporary " + (os.tmpdir().startsWith(os.homedir()) && (fs.statSync(os.homedir()).mode & 0o777).toString(8)));
fs.writeFileSync(path.join(os.tmpdir(), "own"), "x");
console.log("own-file " + (fs.statSync(path.join(os.tmpdir(), "own")).mode & 0o007));
`;

/** A module whose flow is `main`. */
export const PYTHON_ATTACKS = `
import ctypes, os, signal, socket, subprocess, sys, tempfile
from pathlib import Path
from towpath import flow

e = os.environ

def attack(name, act):
    try:
        act()
        print(name, "BROKEN")
    except (OSError, subprocess.CalledProcessError) as error:
        print(name, "held", type(error).__name__)

def connect():
    socket.socket(socket.AF_UNIX).connect(e["VICTIM_SOCKET"])

def without(text):
    if e["CANARY_START"] + "5d1c" not in text:
        raise OSError("nothing")

def trace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(e["VICTIM"]), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "refused")

def capability():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "refused")

@flow
def main() -> None:
    print("uid", os.getuid(), "gid", os.getgid(), "groups", ",".join(str(one) for one in os.getgroups()))
    for name in ${JSON.stringify(PATHS)}:
        attack(f"read-{name}", lambda: Path(e[name]).read_bytes())
    for name in ["", "attempts", "journals", "users", "cache"]:
        attack(f"list-state-{name}", lambda: os.listdir(Path(e["STATE"], name)))
    for pid in (os.getppid(), 1, e["WORKER"]):
        attack("environment-of-worker", lambda: without(Path(f"/proc/{pid}/environ").read_text("latin1")))
    for name in ["environ", "mem"]:
        attack(f"victim-{name}", lambda: Path("/proc", e["VICTIM"], name).read_bytes())
    attack("victim-descriptors", lambda: os.listdir(f"/proc/{e['VICTIM']}/fd"))
    attack("victim-socket", connect)
    attack("kill-victim", lambda: os.kill(int(e["VICTIM"]), signal.SIGKILL))
    attack("trace-victim", trace)
    for change in (os.setuid, os.seteuid, os.setgid, os.setegid):
        attack(change.__name__, lambda: change(0))
    attack("setresuid", lambda: os.setresuid(0, 0, 0))
    attack("setgroups", lambda: os.setgroups([0]))
    attack("mount", capability)
    attack("chroot", lambda: os.chroot("/tmp"))
    attack("write-code", lambda: Path("flows/main.py").write_text(""))
    attack("write-package", lambda: Path(sys.modules["towpath"].__file__).write_text(""))
    attack("write-interpreter", lambda: os.open(os.path.realpath(sys.executable), os.O_WRONLY))
    attack("hard-link", lambda: os.link(e["KEY"], Path(e["TOWPATH_TOKEN_FILE"]).with_name("stolen")))
    attack("device", lambda: os.mknod(Path(tempfile.gettempdir(), "disk"), 0o060600, os.makedev(8, 0)))
    attack("worker-bytecode", lambda: os.listdir(Path(e["STATE"], "compile-cache")))
    print("child", subprocess.check_output(["id", "-u"], text=True).strip() == str(os.getuid()))
    print("temporary", tempfile.gettempdir().startswith(str(Path.home())))
`;

/** A script of the shell. */
export const COMMAND_ATTACKS = `
attack() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name BROKEN"; else echo "$name held"; fi; }
own=$(dirname "$TOWPATH_TOKEN_FILE")
echo "uid $(id -u) gid $(id -g) groups $(id -G | tr ' ' ,)"
for name in ${PATHS.join(" ")}; do eval "path=\\$$name"; attack "read-$name" cat "$path"; done
for name in "" attempts journals users cache; do attack "list-state-$name" ls "$STATE/$name"; done
for pid in 1 "$WORKER" "$(awk '/^PPid/ {print $2}' /proc/$PPID/status)"; do
  attack environment-of-worker grep -aq "$CANARY_START"5d1c "/proc/$pid/environ"
done
attack victim-environ cat "/proc/$VICTIM/environ"
attack victim-descriptors ls "/proc/$VICTIM/fd"
attack victim-memory cat "/proc/$VICTIM/mem"
attack kill-victim kill -9 "$VICTIM"
attack write-code sh -c 'echo > attack.sh'
attack setpriv setpriv --reuid=0 true
attack su su root -c true
attack change-owner chown 0 "$own/exit.json"
attack link-key ln "$KEY" "$own/stolen"
attack device mknod "$own/disk" b 8 0
attack mount mount -t tmpfs none /mnt
attack remove-state sh -c 'test -e "$1/attempt.json" && rm -f "$1/attempt.json"' sh "$own"
attack replace-state mv "$own/parameters.json" "$own/attempt.json"
echo "umask $(umask)"
`;

/** Attacks in TypeScript that only namespaces hold. They go on where `NODE_ATTACKS` ends. */
export const NAMESPACE_ATTACKS = `
await attack("list-processes", () => { if (fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)).every((pid) => Number(pid) < 100)) throw new Error("own"); });
await attack("see-victim", () => fs.statSync("/proc/" + e.VICTIM));
await attack("see-worker", () => fs.statSync("/proc/" + e.WORKER));
await attack("command-lines", () => { if (!fs.readdirSync("/proc").some((pid) => { try { return fs.readFileSync("/proc/" + pid + "/cmdline", "latin1").includes("worker.json"); } catch { return false; } })) throw new Error("none"); });
for (const name of ["KEY", "SETTINGS", "PROTECTED", "VICTIM_TOKEN", "VICTIM_SOCKET"]) await attack("see-" + name, () => fs.statSync(e[name]));
for (const dir of ["attempts", "journals", "runners", "floors.json", "preallocation"]) await attack("see-state-" + dir, () => fs.statSync(path.join(e.STATE, dir)));
await attack("files-of-others", () => { if (!fs.readdirSync("/tmp").some((name) => name.startsWith("planted-"))) throw new Error("none"); });
await attack("homes", () => { if (fs.readdirSync("/home").length + fs.readdirSync("/root").length === 0) throw new Error("empty"); });
await attack("services", () => { if (fs.readdirSync("/run").every((name) => name === "towpath" || name === "systemd")) throw new Error("none"); });
for (const dir of ["/", "/usr", "/etc", "/run", "/var", e.STATE]) await attack("write-" + dir, () => fs.writeFileSync(path.join(dir, "planted"), ""));
await attack("write-given", () => fs.writeFileSync(path.join(path.dirname(e.TOWPATH_SOCKET), "planted"), ""));
await attack("open-state", () => fs.chmodSync(e.STATE, 0o777));
await attack("unmount", () => execFileSync("umount", [path.join(e.STATE)], { stdio: "ignore" }));
await attack("shared-memory", () => { if (execFileSync("ipcs", ["-m"], { encoding: "utf8" }).split("\\n").filter((line) => line.startsWith("0x")).length === 0) throw new Error("none"); });
await attack("store-key", () => fs.readFileSync(path.join(e.STORE, "towpath-key.json")));
`;
