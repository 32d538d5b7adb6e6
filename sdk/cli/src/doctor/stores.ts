import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Context } from "@towpath/contract";
import { openObjects, StoreFault } from "towpath/store";
import { Failure } from "../failure.ts";
import { type StoreSettings, storeKeysFault, storeOf } from "../store/worker-store.ts";
import type { SecretGround } from "../worker/secret-values.ts";
import { bad, type Check, checkFolder, good } from "./checks.ts";

/** How long a bucket may take to write and read a few bytes, milliseconds. */
const PROBE_MS = 10_000;

interface Looked {
  readonly title: string;
  /** Its path in the worker's configuration. */
  readonly at: string;
  readonly settings: StoreSettings;
}

/** Writes a few bytes and reads them, like a flow. @returns What stays there if deleting is not permitted. */
async function probe(store: Context["store"]): Promise<string | null> {
  const objects = await openObjects(store);
  const path = `towpath-doctor-${randomUUID()}`;
  const bytes = new TextEncoder().encode(path);
  const uri = await objects.write(path, bytes);
  const kept = await objects.read(uri, bytes.byteLength);
  if (Buffer.compare(kept, bytes) !== 0)
    throw new StoreFault(`${uri} does not return the bytes that were just written.`);
  return objects.remove([path]).then(
    () => null,
    () => path,
  );
}

async function inTime<Done>(work: Promise<Done>): Promise<Done> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const next = "Check its endpoint in the worker's configuration, and the network.";
  const timer = setTimeout(
    () => reject(new StoreFault(`It did not answer within ${PROBE_MS / 1000} s.`, { next })),
    PROBE_MS,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The fix of a store's fault, with the name of this store's setting. */
function fixOf({ next }: StoreFault, at: string): string {
  if (next === null) return `correct ${at}.root in the worker's configuration`;
  const text = next.replace("its endpoint", `${at}.endpoint`).replace("store.root", `${at}.root`);
  return text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, "");
}

function faultOf({ title, at, settings }: Looked, thrown: unknown): Check {
  const { root } = settings;
  if (thrown instanceof Failure) return bad(title, `${root}: ${thrown.message}`, thrown.next.join("; "));
  if (thrown instanceof StoreFault) {
    const what = thrown.next === null ? thrown.message : thrown.message.replace(` ${thrown.next}`, "");
    return bad(title, `${root}: ${what}`, fixOf(thrown, at));
  }
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return bad(title, `${root} cannot be used (${why})`, `set ${at}.root to a folder or to s3://bucket/prefix`);
}

async function checkStore(ground: SecretGround, looked: Looked): Promise<Check> {
  const { title } = looked;
  try {
    const store = await storeOf(ground, looked.settings);
    if (store.root.startsWith("file:")) return await checkFolder(title, fileURLToPath(store.root));
    const left = await inTime(probe(store));
    return good(
      title,
      left === null ? store.root : `${store.root} (${left} stays there, because the login may not delete)`,
    );
  } catch (thrown) {
    return faultOf(looked, thrown);
  }
}

/** Whether the keys of a store can be read: they are those of hashes, refs and pickled values. Empty: the store has a key that a worker made. */
async function checkKeys(ground: SecretGround, { title, at, settings }: Looked): Promise<Check[]> {
  if (settings.keys.length === 0) return [];
  const name = `${title} key`;
  const fault = await storeKeysFault(ground, settings);
  return [
    fault === null
      ? good(name, settings.keys.length === 1 ? "1 of your own" : `${settings.keys.length} of your own`)
      : bad(
          name,
          fault,
          `write a key there with \`openssl rand -hex 32\`, or remove it from ${at}.keys; without a key of its own, the store has one that a worker made, and nothing can be pickled`,
        ),
  ];
}

/** Whether flows can keep values in each store of a worker's configuration. */
export async function checkStores(
  ground: SecretGround,
  args: { store: StoreSettings; stores: Readonly<Record<string, StoreSettings>> },
): Promise<Check[]> {
  const named = Object.entries(args.stores).map(([name, settings]) => ({
    title: `store ${name}`,
    at: `stores.${name}`,
    settings,
  }));
  const all = [{ title: "store", at: "store", settings: args.store }, ...named];
  const checks = all.map(async (looked) => [
    await checkStore(ground, looked),
    ...(await checkKeys(ground, looked)),
  ]);
  return (await Promise.all(checks)).flat();
}
