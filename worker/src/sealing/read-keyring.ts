import { keyBytesOf, SealError } from "@towpath/contract";
import type { WorkerConfig } from "../config.ts";
import { placeOf, readSecret, SecretUnavailable } from "../secrets/index.ts";
import { WorkerKeyring } from "./keyring.ts";

type Source = NonNullable<WorkerConfig["workspaceKeys"]>[number];

/**
 * Reads the workspace keys of the configuration. Null: it has none.
 * @throws SecretUnavailable when one cannot be read, or is no workspace key. The message never has it.
 */
export async function readKeyring(
  config: Pick<WorkerConfig, "workspaceKeys" | "environment">,
): Promise<WorkerKeyring | null> {
  if (config.workspaceKeys === undefined) return null;
  const [first, ...others] = config.workspaceKeys;
  const read = (source: Source) => readKey(config, source);
  return new WorkerKeyring([await read(first), ...(await Promise.all(others.map(read)))]);
}

async function readKey(config: Pick<WorkerConfig, "environment">, source: Source): Promise<string> {
  const text = await readSecret(config, { name: "the workspace key", source });
  try {
    keyBytesOf(text);
    return text;
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    throw new SecretUnavailable(`There is no workspace key in ${placeOf(source)}. ${error.message}`);
  }
}
