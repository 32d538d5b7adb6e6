import { resolve } from "node:path";
import type { z } from "zod";
import type {
  LocalSource,
  SecretSource,
  SecretSourceShape,
  ShapedVault,
  SourceGround,
  VaultServer,
} from "./shapes.ts";

type Shaped = z.output<typeof SecretSourceShape>;

/** The source of a parsed setting, with absolute paths. A Vault that is not configured is `vaultFault`'s to report. */
export function secretSource(source: Shaped, ground: SourceGround): SecretSource {
  const { vault } = source;
  if (vault === undefined) return localSource(source, ground.folder);
  const { name, ...value } = vault;
  const found = vaultNamed(ground, name);
  // The faults of a configuration are collected, and one with this fault is never used.
  if (found === undefined) return { env: "" };
  return { vault: { ...value, server: vaultServer(found, { name, folder: ground.folder }) } };
}

/** The fault of a part of the settings that is a source of a Vault which is not configured. Null: nothing is wrong. */
export function vaultFault(part: object, vaults: SourceGround["vaults"]): string | null {
  const { vault } = part as { vault?: unknown };
  if (typeof vault !== "object" || vault === null || !("path" in vault) || !("name" in vault)) return null;
  const name = String(vault.name);
  if (vaultNamed({ vaults }, name) !== undefined) return null;
  return `there is no Vault called "${name}"; add it under "vaults"`;
}

function vaultNamed({ vaults }: Pick<SourceGround, "vaults">, name: string): ShapedVault | undefined {
  return Object.hasOwn(vaults, name) ? vaults[name] : undefined;
}

function localSource(source: Omit<Shaped, "vault">, folder: string): LocalSource {
  const { file, exec, env = "" } = source;
  if (file !== undefined) return { file: resolve(folder, file) };
  if (exec === undefined) return { env };
  const [program = "", ...args] = exec.command;
  // A name without a folder is looked up in PATH.
  const path = program.includes("/") ? resolve(folder, program) : program;
  return { exec: { ...exec, command: [path, ...args], folder } };
}

function vaultServer(vault: ShapedVault, { name, folder }: { name: string; folder: string }): VaultServer {
  const { address, namespace = null, ca, timeoutMs } = vault;
  return {
    name,
    address: address.replace(/\/+$/, ""),
    namespace,
    ca: ca === undefined ? null : resolve(folder, ca),
    auth: vaultAuth(vault.auth, folder),
    timeoutMs,
  };
}

function vaultAuth(auth: ShapedVault["auth"], folder: string): VaultServer["auth"] {
  switch (auth.method) {
    case "token":
      return { method: "token", token: localSource(auth.token, folder) };
    case "approle": {
      const { method, mount } = auth;
      const [roleId, secretId] = [localSource(auth.roleId, folder), localSource(auth.secretId, folder)];
      return { method, mount, roleId, secretId };
    }
    case "kubernetes":
      return { ...auth, token: localSource(auth.token, folder) };
  }
}
