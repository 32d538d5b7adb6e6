import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sshConfig, sshEnvironment, sshFileText } from "@towpath/contract/registries";
import type { CheckedGitSource } from "./git-source.ts";

const OWNER_ONLY = 0o600;

/**
 * Writes the key and the host keys of a registry into a folder that only the worker's user can enter. The caller removes it.
 * @returns The variables by which git starts ssh with them. Empty for another protocol.
 */
export async function openSsh(
  { ssh }: CheckedGitSource,
  folder: string,
): Promise<Readonly<Record<string, string>>> {
  if (ssh === null) return {};
  const files = { keyFile: join(folder, "ssh-key"), knownHostsFile: join(folder, "ssh-known-hosts") };
  const configFile = join(folder, "ssh-config");
  const write = (path: string, text: string) => writeFile(path, text, { mode: OWNER_ONLY, flag: "wx" });
  await write(files.keyFile, sshFileText(ssh.key));
  await write(files.knownHostsFile, sshFileText(ssh.knownHosts));
  await write(configFile, sshConfig(files));
  return sshEnvironment(configFile);
}
