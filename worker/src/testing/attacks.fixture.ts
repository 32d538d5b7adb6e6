/*
 * Attacks of a flow on its worker and on another attempt, in each language. Each prints `NAME held` or `NAME BROKEN`. The variables
 * of the environment name the targets: KEY, SETTINGS, STATE, VICTIM (a pid), VICTIM_TOKEN, VICTIM_SOCKET, VICTIM_FILES and PROTECTED,
 * a folder of root's.
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
await attack("environment-of-worker", () => fs.readFileSync("/proc/" + process.ppid + "/environ"));
for (const file of ["environ", "mem", "maps"]) await attack("victim-" + file, () => fs.readFileSync("/proc/" + e.VICTIM + "/" + file));
await attack("victim-descriptors", () => fs.readdirSync("/proc/" + e.VICTIM + "/fd"));
await attack("victim-folder", () => fs.readdirSync("/proc/" + e.VICTIM + "/cwd"));
for (const dir of [path.dirname(e.VICTIM_TOKEN), e.VICTIM_HOME]) await attack("list-victim", () => fs.readdirSync(dir));
await attack("victim-socket", () => new Promise((resolve, reject) => net.connect(e.VICTIM_SOCKET, resolve).on("error", reject)));
await attack("kill-victim", () => process.kill(Number(e.VICTIM), "SIGKILL"));
await attack("kill-worker", () => process.kill(process.ppid, "SIGKILL"));
await attack("debug-victim", () => process._debugProcess(Number(e.VICTIM)));
for (const id of ["setuid", "seteuid", "setgid", "setegid"]) await attack(id, () => process[id](0));
await attack("setgroups", () => process.setgroups([0]));
await attack("setuid-of-victim", () => process.setuid(Number(e.VICTIM_UID)));
await attack("write-code", () => fs.writeFileSync("flow.mjs", ""));
await attack("add-code", () => fs.writeFileSync("planted.mjs", ""));
await attack("open-code", () => fs.chmodSync(".", 0o777));
await attack("hard-link", () => fs.linkSync(e.KEY, path.join(own, "stolen")));
await attack("own-state", () => fs.readFileSync(path.join(own, "attempt.json")));
await attack("replace-own-state", () => { fs.writeFileSync(path.join(own, "mine"), "{}"); fs.renameSync(path.join(own, "mine"), path.join(own, "attempt.json")); });
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
    attack("environment-of-worker", lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes())
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
attack environment-of-worker cat "/proc/$PPID/environ.parent" "/proc/$(awk '/^PPid/ {print $2}' /proc/$PPID/status)/environ"
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
attack remove-state rm -f "$own/attempt.json"
attack replace-state mv "$own/parameters.json" "$own/attempt.json"
echo "umask $(umask)"
`;
