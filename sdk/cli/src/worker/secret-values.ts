import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { programArguments } from "../kernel/programs.ts";

/** Where a secret of a worker's configuration comes from. The worker's program checks and reads commands and Vaults. */
export const SecretSource = z.union([
  z.object({ file: z.string() }),
  z.object({ env: z.string() }),
  z.object({ exec: z.looseObject({ command: z.array(z.string()).min(1) }) }),
  z.object({ vault: z.looseObject({ path: z.string(), name: z.string().optional() }) }),
]);
/** Where a secret of a worker's configuration comes from. */
export type SecretSource = z.output<typeof SecretSource>;

/** The value of a source, or why there is none. */
export type SecretValue = { readonly value: string } | { readonly fault: string };

/** Where the secrets of a worker's configuration are read. */
export interface SecretGround {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The configuration's folder, where relative paths start. */
  readonly folder: string;
  /** The values of the configuration's commands and Vaults, by source. */
  readonly external: ReadonlyMap<string, SecretValue>;
}

const isExternal = (source: SecretSource) => "exec" in source || "vault" in source;

/** The place of a source, for a message. */
export function secretPlace({ folder }: Pick<SecretGround, "folder">, source: SecretSource): string {
  if ("env" in source) return `the variable ${source.env}`;
  if ("file" in source) return resolve(folder, source.file);
  if ("exec" in source) return `the command ${source.exec.command[0]}`;
  return `the Vault "${source.vault.name ?? "default"}"`;
}

/** Reads a secret of a worker's configuration, as this user and in this environment. */
export async function secretValue(ground: SecretGround, source: SecretSource): Promise<SecretValue> {
  if (isExternal(source)) return ground.external.get(JSON.stringify(source)) ?? { fault: "it was not read" };
  const { environment } = ground;
  const found =
    "env" in source
      ? environment[source.env]
      : "file" in source
        ? await readFile(resolve(ground.folder, source.file), "utf8").catch(() => undefined)
        : undefined;
  // Editors end a file with a line break, which is not part of the value. The worker reads it the same way.
  const value = "file" in source ? found?.replace(/\r?\n$/, "") : found;
  return value ? { value } : { fault: `${secretPlace(ground, source)} is missing or empty` };
}

/** Each command and Vault in a part of a configuration. */
function externalSources(part: unknown): SecretSource[] {
  if (typeof part !== "object" || part === null) return [];
  const parsed = SecretSource.safeParse(part);
  if (parsed.success && isExternal(parsed.data)) return [parsed.data];
  return Object.values(part).flatMap(externalSources);
}

const Answer = z.union([
  z.object({
    values: z.record(z.string(), z.union([z.object({ value: z.string() }), z.object({ fault: z.string() })])),
  }),
  z.object({ fault: z.string() }),
]);

/**
 * Reads what secrets need: the values of all commands and Vaults of a configuration at once, with the worker's own program.
 * @throws Failure if that program cannot be started.
 */
export async function openSecretGround(
  ground: Omit<SecretGround, "external">,
  config: Readonly<Record<string, unknown>>,
): Promise<SecretGround> {
  const sources = new Map(externalSources(config).map((source) => [JSON.stringify(source), source]));
  if (sources.size === 0) return { ...ground, external: new Map() };
  const child = spawn(process.execPath, programArguments("worker", "secrets"), {
    stdio: ["pipe", "pipe", "inherit"],
    env: ground.environment,
  });
  child.stdin.on("error", () => {});
  child.stdin.end(
    JSON.stringify({ folder: ground.folder, vaults: config.vaults, sources: Object.fromEntries(sources) }),
  );
  const answer = Answer.safeParse(parsed(await text(child.stdout)));
  if (!answer.success)
    throw new Failure("The worker's program could not read the secrets of this configuration.", {
      exit: "configuration",
      code: "secrets-unread",
      next: ["read its message above"],
    });
  const { data } = answer;
  if ("values" in data) return { ...ground, external: new Map(Object.entries(data.values)) };
  return { ...ground, external: new Map([...sources.keys()].map((key) => [key, { fault: data.fault }])) };
}

function parsed(printed: string): unknown {
  try {
    return JSON.parse(printed);
  } catch {
    return null;
  }
}
