import { open } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";

/** Most environments fit into one read, bytes. */
const CHUNK_BYTES = 16 * 1024;
/** The most of an environment that is read, bytes. Linux starts no program with more than 6 MiB of it. */
const ENVIRONMENT_BYTES_MAX = 8 * 1024 * 1024;

/**
 * The environment with which a process was started, as `NAME=value`. Empty if the process is gone or may not be read.
 * Linux only.
 */
export async function firstEnvironment(pid: number): Promise<string[]> {
  try {
    await using file = await open(`/proc/${pid}/environ`, "r");
    const decoder = new StringDecoder("utf8");
    // `readFile` would take 64 KiB for each process of the machine.
    const bytes = Buffer.allocUnsafe(CHUNK_BYTES);
    let text = "";
    for (let at = 0; at < ENVIRONMENT_BYTES_MAX; ) {
      const { bytesRead } = await file.read(bytes, 0, CHUNK_BYTES, at);
      if (bytesRead === 0) break;
      text += decoder.write(bytes.subarray(0, bytesRead));
      at += bytesRead;
    }
    return text.split("\0");
  } catch {
    return [];
  }
}
