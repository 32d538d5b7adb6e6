import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sshConfig, sshEnvironment, sshFileText } from "@towpath/contract/registries";

/** The variables by which git starts ssh with a key and host keys, and their files, which disposing removes. */
interface OpenSshFiles extends AsyncDisposable {
  readonly environment: Readonly<Record<string, string>>;
}

/** Writes a key and host keys into a folder that only this user can enter. */
export async function openSshFiles(texts: { key: string; knownHosts: string }): Promise<OpenSshFiles> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-ssh-"));
  const files = { keyFile: join(folder, "key"), knownHostsFile: join(folder, "known-hosts") };
  const configFile = join(folder, "config");
  await writeFile(files.keyFile, sshFileText(texts.key), { mode: 0o600 });
  await writeFile(files.knownHostsFile, sshFileText(texts.knownHosts), { mode: 0o600 });
  await writeFile(configFile, sshConfig(files), { mode: 0o600 });
  return {
    environment: sshEnvironment(configFile),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
