import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uuidv7 } from "@towpath/contract";
import { nextLine, parseLedger } from "@towpath/contract/ledger";
import { openS3Archives } from "@towpath/contract/registries";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findVersitygw, startS3 } from "../../test/harness/index.ts";
import { statePaths } from "./attempts/index.ts";
import {
  commitAll,
  makeRepository,
  openCache,
  PASSWORD,
  root,
  servers,
  USERNAME,
} from "./code/git-fetch.fixture.ts";
import { GitServer, git } from "./code/git-server.fixture.ts";
import { serveEdge } from "./code/registry-server.fixture.ts";
import { checkSettings } from "./config.ts";
import { openLedgerOf } from "./open-ledger.ts";
import { type LedgerBook, Refusal } from "./trust/index.ts";

const NOW = Date.parse("2026-06-01T00:00:00.000Z");
const versitygw = findVersitygw();
const DAY_MS = 86_400_000;
const WORKSPACE = uuidv7(NOW);
const FILE = "flows/towpath.ledger.jsonl";

/** A ledger with the lines of these versions. */
function ledgerOf(...versions: number[]): string {
  return versions.reduce((text, version) => {
    const named = { deployment: "train", workspace: WORKSPACE, version, spec: String(version).repeat(64) };
    const rules = { floor: 1, floorBy: "runs", expiresAt: null, expiresBy: "project" } as const;
    const line = { ...named, ...rules, code: "c", keyId: "k", at: new Date(NOW).toISOString() };
    return `${text}${nextLine(parseLedger(text), line)}\n`;
  }, "");
}

/** Somewhere that a ledger is read from. */
interface Place {
  readonly from: object;
  readonly branch?: string;
  put(text: string): Promise<void>;
  /** From now on, nothing answers there. */
  down(): Promise<void>;
  up(): Promise<void>;
}

async function inGit(): Promise<Place> {
  const { name, dir } = await makeRepository([{ "other.txt": "x" }]);
  git(dir, "checkout", "--quiet", "-b", "release");
  const served = join(root, "served");
  const server = await GitServer.start({ root: served, credentials: `${USERNAME}:${PASSWORD}` });
  servers.push(server);
  return {
    from: {
      kind: "git",
      url: `${server.url}/${name}`,
      username: USERNAME,
      password: { env: "LEDGER_PASSWORD" },
    },
    branch: "release",
    async put(text) {
      await rm(join(dir, "flows"), { recursive: true, force: true });
      await mkdir(join(dir, "flows"));
      await writeFile(join(dir, FILE), text);
      commitAll(dir);
    },
    down: () => rename(dir, `${dir}.gone`),
    up: () => rename(`${dir}.gone`, dir),
  };
}

async function onServer(kind: "archive" | "s3"): Promise<Place> {
  let held = "";
  let isDown = false;
  const path = kind === "s3" ? `/ledgers/data/${FILE}` : `/data/${FILE}`;
  const server = await serveEdge((request, response) => {
    const known = kind === "s3" ? "AWS4-HMAC-SHA256 Credential=" : `Bearer ${PASSWORD_TEXT}`;
    if (isDown) response.writeHead(503).end();
    else if (request.headers.authorization?.startsWith(known) !== true) response.writeHead(403).end();
    else response.writeHead(request.url === path ? 200 : 404).end(held);
  });
  const from =
    kind === "archive"
      ? { kind, url: `${server.url}/data`, token: { env: "LEDGER_PASSWORD" } }
      : {
          ...{ kind, url: "s3://ledgers/data", endpoint: server.url },
          ...{ accessKeyId: { env: "LEDGER_PASSWORD" }, secretAccessKey: { env: "LEDGER_PASSWORD" } },
        };
  return {
    from,
    async put(text) {
      held = text;
    },
    async down() {
      isDown = true;
    },
    async up() {
      isDown = false;
    },
  };
}
const PASSWORD_TEXT = "token-0a9f3c";

const PLACES: Record<string, { readonly open: () => Promise<Place>; readonly secret: string }> = {
  "a git repository": { open: inGit, secret: PASSWORD },
  "a web server": { open: () => onServer("archive"), secret: PASSWORD_TEXT },
  "a bucket": { open: () => onServer("s3"), secret: PASSWORD_TEXT },
};

let dir: string;
let nowMs: number;
let logged: string[];
/** Ends the pause before the next read in the background. */
let tick: () => void;
const books: LedgerBook[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-ledger-"));
  nowMs = NOW;
  logged = [];
});
afterEach(async () => {
  for (const book of books.splice(0)) await book.close();
  await rm(dir, { recursive: true, force: true });
});

async function open(
  place: Pick<Place, "from" | "branch"> & { readonly file?: string },
  secret: string,
): Promise<LedgerBook> {
  const environment = { PATH: process.env.PATH, LEDGER_PASSWORD: secret, KEY_ID: "sample" };
  const { from, branch, file = FILE } = place;
  const settings = {
    ...{
      url: "http://127.0.0.1:1",
      key: { env: "K" },
      pool: "local",
      stateDir: dir,
      store: { root: "store" },
    },
    trustedKeys: [{ kty: "OKP", crv: "Ed25519", x: "A".repeat(43), kid: "k" }],
    ledger: { from, file, ...(branch !== undefined && { branch }), maxAgeMs: DAY_MS },
  };
  const config = await checkSettings(settings as never, { folder: dir, environment });
  const note = (facts: object, text: string) => void logged.push(`${text} ${JSON.stringify(facts)}`);
  const book = await openLedgerOf(config, {
    paths: statePaths(dir),
    clock: { nowMs: () => nowMs },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        // The shortest time between two reads passes at once. The background waits for the test.
        if (ms <= 2_000) return resolve();
        tick = resolve;
        signal?.addEventListener("abort", reject, { once: true });
      }),
    log: { info: note, error: note } as never,
    cache: await openCache(),
  });
  if (book === null) throw new Error("The configuration names a ledger.");
  books.push(book);
  return book;
}

const spec = (version: number) => ({
  ...{ workspace: WORKSPACE, deployment: "train", version, spec: String(version).repeat(64) },
});
const refusal = async (asked: Promise<unknown>) =>
  await asked.then(
    () => null,
    (error: unknown) => (error instanceof Refusal ? error : Promise.reject(error)),
  );

describe.each(Object.entries(PLACES))("a ledger in %s", (_, { open: openPlace, secret }) => {
  let place: Place;
  beforeEach(async () => {
    place = await openPlace();
  });

  test("is read at the start, for a spec that it lacks, and in the background", async () => {
    await place.put(ledgerOf(1));
    const book = await open(place, secret);
    const first = await book.current();
    expect([first.has(spec(1)), first.has(spec(2))]).toEqual([true, false]);
    await place.put(ledgerOf(1, 2));
    expect((await book.latest()).has(spec(2))).toBe(true);
    await place.put(ledgerOf(1, 2, 3));
    tick();
    await expect.poll(async () => (await book.current()).has(spec(3))).toBe(true);
    expect(logged.join("\n")).not.toContain(secret);
  });

  test("that went back or branched off is refused, and what was known stays in force", async () => {
    await place.put(ledgerOf(1, 2));
    const book = await open(place, secret);
    for (const text of [ledgerOf(1), ledgerOf(1, 3, 4), "", "{}\n", "<html>"]) {
      await place.put(text);
      const known = await refusal(book.latest());
      expect(known).toMatchObject({ code: "ledger-unavailable", mayPass: true });
      const current = await book.current();
      expect([current.has(spec(2)), current.has(spec(3))]).toEqual([true, false]);
    }
    expect(logged.join("\n")).toContain("lacks the line");
    await place.put(ledgerOf(1, 2, 3));
    expect((await book.latest()).has(spec(3))).toBe(true);
  });

  test("that cannot be read stays in force from its copy until that is too old, also after a restart", async () => {
    await place.put(ledgerOf(1));
    await (await open(place, secret)).close();
    await place.down();
    nowMs += DAY_MS - 1;
    const book = await open(place, secret);
    expect((await book.current()).has(spec(1))).toBe(true);
    expect(logged.at(-1)).toContain("its copy stays in force until it is 24 h old");
    const without = await refusal(book.latest());
    expect(without?.message).toContain("its copy is without this version. The run waits.");
    nowMs += 2;
    const old = await refusal(book.current());
    expect(old).toMatchObject({ code: "ledger-unavailable" });
    expect(old?.message).toContain("no copy that is newer than 24 h");
    expect(old?.message).toContain("towpath doctor");
    expect(old?.message).not.toMatch(/127\.0\.0\.1/);
    await place.up();
    expect((await book.current()).has(spec(1))).toBe(true);
    expect(logged.at(-1)).toContain("can be read again");
  });
});

test.skipIf(versitygw === undefined)(
  "a ledger in a bucket of a real server is read with its login",
  async () => {
    await using s3 = await startS3(versitygw ?? "");
    const { sessionToken: _, ...access } = s3.access;
    const signal = new AbortController().signal;
    await using bucket = openS3Archives({ url: "s3://values/data", ...access }, { environment: {}, signal });
    await bucket.push({ hex: "ledger", bytes: Buffer.from(ledgerOf(1)) });
    const from = {
      ...{ kind: "s3", url: "s3://values/data", endpoint: access.endpoint, region: access.region },
      ...{ accessKeyId: { env: "KEY_ID" }, secretAccessKey: { env: "LEDGER_PASSWORD" } },
    };
    const place = { from, file: "ledger.tar.gz" };
    expect((await (await open(place, access.secretAccessKey)).current()).has(spec(1))).toBe(true);
    await rm(statePaths(dir).ledgerCopy);
    const wrong = await open(place, "wrong");
    expect(await refusal(wrong.current())).toMatchObject({ code: "ledger-unavailable" });
    expect(logged.join("\n")).toContain("refuses access to the file");
  },
);

test("a worker without a copy waits for its ledger, and takes no copy of another address", async () => {
  const place = await onServer("archive");
  await place.put(ledgerOf(1));
  await place.down();
  const book = await open(place, PASSWORD_TEXT);
  expect(await refusal(book.current())).toMatchObject({ code: "ledger-unavailable" });
  expect(logged.join("\n")).toContain("there is no copy: runs wait until it can");
  await place.up();
  expect((await book.current()).has(spec(1))).toBe(true);
  expect(await readFile(statePaths(dir).ledgerCopy, "utf8")).toBe(ledgerOf(1));
  const other = await onServer("archive");
  await other.down();
  expect(await refusal((await open(other, PASSWORD_TEXT)).current())).toMatchObject({
    code: "ledger-unavailable",
  });
});

test("a copy that was changed on disk is not used", async () => {
  const place = await onServer("archive");
  await place.put(ledgerOf(1));
  await (await open(place, PASSWORD_TEXT)).close();
  await writeFile(statePaths(dir).ledgerCopy, ledgerOf(1, 2));
  await place.down();
  expect(await refusal((await open(place, PASSWORD_TEXT)).current())).toMatchObject({
    code: "ledger-unavailable",
  });
});

test("each miss reads again, however long ago the last read was", async () => {
  const place = await onServer("archive");
  await place.put(ledgerOf(1));
  const book = await open(place, PASSWORD_TEXT);
  for (const version of [2, 3, 4]) {
    nowMs += 10_000;
    await place.put(ledgerOf(...Array.from({ length: version }, (_, index) => index + 1)));
    expect((await book.latest()).has(spec(version))).toBe(true);
  }
});

test("reads at the same time are one, and each caller gets one that began after its call", async () => {
  const place = await onServer("archive");
  await place.put(ledgerOf(1));
  const book = await open(place, PASSWORD_TEXT);
  const early = book.latest();
  await place.put(ledgerOf(1, 2));
  const late = await Promise.all([book.latest(), book.latest(), early]);
  expect(late.map((one) => one.has(spec(2)))).toEqual([true, true, true]);
});
