import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "./free-port.ts";
import { startProcess } from "./process.ts";

/** Where the bootstrap installs the server for the tests. */
const INSTALLED = fileURLToPath(
  new URL("../../node_modules/.cache/towpath-tests/versitygw", import.meta.url),
);

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds versitygw, a server that speaks S3 over a folder. Undefined if it is not installed: the tests that need it are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export function findVersitygw(): string | undefined {
  const places = [
    INSTALLED,
    ...(process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "versitygw")),
  ];
  const found = places.find(isExecutable);
  if (found !== undefined) return found;
  const missing =
    "The tests of stores in buckets need versitygw, which `npm test` installs where Go is on PATH (https://go.dev/dl).";
  if (process.env.CI) throw new Error(missing);
  process.stderr.write(`SKIPPED: ${missing}\n`);
  return undefined;
}

/** A running server with one bucket. */
export interface S3Server extends AsyncDisposable {
  readonly root: string;
  readonly access: {
    readonly endpoint: string;
    readonly region: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: null;
  };
}

/** Starts a server on a new folder, with the bucket `values`. */
export async function startS3(program: string): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-s3-"));
  await mkdir(join(folder, "buckets/values"), { recursive: true });
  await mkdir(join(folder, "facts"));
  const endpoint = `http://127.0.0.1:${await freePort()}`;
  const access = {
    endpoint,
    region: "eu-west-7",
    accessKeyId: "sample",
    secretAccessKey: "lock-keeper",
    sessionToken: null,
  };
  const server = startProcess({
    command: program,
    args: [
      "--port",
      new URL(endpoint).host,
      "--region",
      access.region,
      "posix",
      "--sidecar",
      join(folder, "facts"),
      join(folder, "buckets"),
    ],
    env: {
      ROOT_ACCESS_KEY: access.accessKeyId,
      ROOT_SECRET_KEY: access.secretAccessKey,
      PATH: process.env.PATH,
    },
  });
  await answering(endpoint);
  return {
    root: "s3://values/of/tests",
    access,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const START_MS = 30_000;
const AGAIN_MS = 20;

async function answering(endpoint: string): Promise<void> {
  for (const until = performance.now() + START_MS; ; ) {
    if (
      await fetch(endpoint).then(
        () => true,
        () => false,
      )
    )
      return;
    if (performance.now() > until) throw new Error(`Nothing answers at ${endpoint}.`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
