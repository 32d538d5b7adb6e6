import type { z } from "zod";
import { RegistryFault } from "./fault.ts";
import type { RegistryAnswer } from "./http.ts";

/** The longest answer that is read for the code of an error. */
const SAID_BYTES = 64 * 1024;
const SAID_CHARS = 200;

/** Whether a request succeeded. */
export const isOk = (status: number): boolean => status >= 200 && status < 300;

/**
 * Reads a body.
 * @throws RegistryFault `too-large` when it is longer than `mostBytes`.
 */
export async function readBytes(answer: RegistryAnswer, mostBytes: number): Promise<Buffer> {
  const tooLarge = () => {
    answer.discard();
    return new RegistryFault("too-large", `The code registry's answer is larger than ${mostBytes} bytes.`);
  };
  if (answer.sizeBytes !== null && answer.sizeBytes > mostBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.bytes()) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Reads a JSON answer.
 * @throws RegistryFault `bad-answer` when it is not JSON or has another shape; `too-large`.
 */
export async function readJson<Shape extends z.ZodType>(
  answer: RegistryAnswer,
  { shape, mostBytes }: { shape: Shape; mostBytes: number },
): Promise<z.output<Shape>> {
  const bytes = await readBytes(answer, mostBytes);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    const type = printable(answer.header("content-type") ?? "no type");
    const message = "The code registry's answer is not JSON. Another program may answer at its address.";
    throw new RegistryFault("bad-answer", message, { detail: `${hostOf(answer)}: ${type}`, cause });
  }
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join(".") || "itself";
  throw new RegistryFault("bad-answer", `The code registry's answer has an unexpected ${field}.`, {
    detail: hostOf(answer),
    cause: parsed.error,
  });
}

/**
 * The fault of an answer whose status is not the expected one. It reads the start of the body.
 * @param what What was asked for, as a noun: `the manifest`.
 */
export async function faultOf(answer: RegistryAnswer, what: string): Promise<RegistryFault> {
  const detail = `${hostOf(answer)}: status ${answer.status}${await said(answer)}`;
  const { status } = answer;
  if (status === 401 || status === 403)
    return new RegistryFault("unauthorized", `The code registry refuses access to ${what} (${status}).`, {
      detail,
    });
  if (status === 404 || status === 410)
    return new RegistryFault("not-found", `The code registry does not have ${what}.`, { detail });
  if (status === 413)
    return new RegistryFault("too-large", `The code registry refuses ${what}, because it is too large.`, {
      detail,
    });
  if (status === 429 || status >= 500)
    return new RegistryFault(
      "registry-unreachable",
      `The code registry cannot serve ${what} now (${status}).`,
      { detail },
    );
  return new RegistryFault(
    "bad-answer",
    `The code registry answers with status ${status}, asked for ${what}.`,
    {
      detail,
    },
  );
}

/** The code of the error in an answer's body, as OCI and S3 registries write it. The rest could repeat a credential. */
async function said(answer: RegistryAnswer): Promise<string> {
  const text = await readBytes(answer, SAID_BYTES)
    .then((bytes) => bytes.toString("utf8"))
    .catch(() => "");
  const [, json, xml] = /"code"\s*:\s*"([\w.-]{1,60})"|<Code>([\w.-]{1,60})<\/Code>/.exec(text) ?? [];
  const code = json ?? xml;
  return code === undefined ? "" : `, ${code}`;
}

/** A text of a registry without control characters, cut. */
export function printable(text: string): string {
  return text
    .replace(/\p{C}|\s+/gu, " ")
    .trim()
    .slice(0, SAID_CHARS);
}

function hostOf({ url }: RegistryAnswer): string {
  return new URL(url).host;
}
