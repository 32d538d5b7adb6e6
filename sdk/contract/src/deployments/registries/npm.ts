import { createHash } from "node:crypto";
import { z } from "zod";
import { faultOf, isOk, readJson } from "./answers.ts";
import { authorizationOf, type HttpArchiveAccess } from "./archives.ts";
import { RegistryFault } from "./fault.ts";
import { openRegistryHttp, type RegistryAnswer, type RegistryCall, type RegistryGround } from "./http.ts";

/*
 * The API of npm registries: https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md
 */

/** A package of an npm registry, and the login for it. */
export interface NpmAccess extends HttpArchiveAccess {
  /** `@data/flows`. */
  readonly package: string;
}

/** One version of a package. */
export interface NpmVersion {
  readonly version: string;
  /** SHA-512 of the tarball, hex. */
  readonly hex: string;
}

/** A package of an npm registry. */
export interface NpmPackage extends AsyncDisposable {
  /**
   * The bytes of a version's tarball, unchecked.
   * @throws RegistryFault `digest-mismatch` when the registry announces another tarball; `not-found`.
   */
  open(version: NpmVersion): Promise<RegistryAnswer>;
  /**
   * Publishes a tarball with the tag `tag`, unless the registry has this version of it.
   * @returns Whether it was published.
   * @throws RegistryFault `digest-mismatch` when the registry has another tarball of this version.
   */
  publish(args: { version: string; tag: string; tarball: Buffer; manifest: object }): Promise<boolean>;
  /** Checks that the package can be read with the login. A package that nobody has published is fine. @throws RegistryFault. */
  check(): Promise<void>;
}

/** The folder of a tarball that has the code. Beside it is only the `package.json` that the registry wants. */
export const NPM_CODE_FOLDER = "package/code";

const VERSION_BYTES = 1024 * 1024;
/** A document with all versions has about a kilobyte for each. */
const PACKAGE_BYTES = 64 * 1024 * 1024;
const ABBREVIATED = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";

const Version = z.looseObject({
  dist: z.looseObject({ tarball: z.string().max(4096), integrity: z.string().max(4096).optional() }),
});
const Package = z.looseObject({ versions: z.record(z.string(), z.unknown()).default({}) });
const Anything = z.looseObject({});

/** The integrity of a tarball as npm writes it (Subresource Integrity). */
function integrityOf(hex: string): string {
  return `sha512-${Buffer.from(hex, "hex").toString("base64")}`;
}

/** Opens a package. */
export function openNpmPackage(access: NpmAccess, ground: RegistryGround): NpmPackage {
  const http = openRegistryHttp(access.url, ground);
  const authorization = authorizationOf(access);
  const send = (call: RegistryCall) => http.send({ ...call, authorization });
  const address = `${access.url.replace(/\/+$/, "")}/${access.package.replace("/", "%2f")}`;
  const find = (version: string) => findVersion(send, { address, version });
  return {
    async open({ version, hex }) {
      const found = await find(version);
      if (found === null)
        throw new RegistryFault("not-found", `The code registry does not have version ${version}.`);
      refuseOther(found, hex);
      const answer = await send({ method: "GET", url: tarballOf(found, new URL(access.url)) });
      if (!isOk(answer.status)) throw await faultOf(answer, `the tarball of version ${version}`);
      return answer;
    },
    async publish({ version, tag, tarball, manifest }) {
      const hex = createHash("sha512").update(tarball).digest("hex");
      const found = await find(version);
      if (found !== null) {
        refuseOther(found, hex);
        return false;
      }
      const body = document({ access, version, tag, tarball, manifest, address });
      const headers = { "content-type": "application/json" };
      const answer = await send({ method: "PUT", url: address, headers, body });
      if (!isOk(answer.status)) throw await faultOf(answer, "the publication of a version");
      answer.discard();
      return true;
    },
    async check() {
      const answer = await send({ method: "GET", url: address, headers: { accept: ABBREVIATED } });
      if (!isOk(answer.status) && answer.status !== 404) throw await faultOf(answer, "the package");
      await readJson(answer, { shape: Anything, mostBytes: PACKAGE_BYTES });
    },
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}

type Found = z.output<typeof Version>["dist"];

/** What the registry says of a version. Some registries have only one document for all versions. */
async function findVersion(
  send: (call: RegistryCall) => Promise<RegistryAnswer>,
  { address, version }: { address: string; version: string },
): Promise<Found | null> {
  const one = await send({ method: "GET", url: `${address}/${version}` });
  if (isOk(one.status)) return (await readJson(one, { shape: Version, mostBytes: VERSION_BYTES })).dist;
  if (one.status !== 404 && one.status !== 405) throw await faultOf(one, `version ${version}`);
  one.discard();
  const all = await send({ method: "GET", url: address, headers: { accept: ABBREVIATED } });
  if (all.status === 404) {
    // A page in place of a package says nothing of the package.
    await readJson(all, { shape: Anything, mostBytes: VERSION_BYTES });
    return null;
  }
  if (!isOk(all.status)) throw await faultOf(all, "the package");
  const { versions } = await readJson(all, { shape: Package, mostBytes: PACKAGE_BYTES });
  if (!Object.hasOwn(versions, version)) return null;
  const parsed = Version.safeParse(versions[version]);
  if (parsed.success) return parsed.data.dist;
  throw new RegistryFault("bad-answer", `The code registry names no tarball for version ${version}.`);
}

function refuseOther({ integrity }: Found, hex: string): void {
  // The bytes are checked anyway. This fails before they are fetched.
  if (integrity === undefined || integrity.split(/\s+/).includes(integrityOf(hex))) return;
  throw new RegistryFault("digest-mismatch", "The code registry has another tarball of this version.");
}

/** The address of a tarball. */
function tarballOf({ tarball }: Found, registry: URL): string {
  const url = URL.canParse(tarball) ? new URL(tarball) : null;
  const isWeb = url?.protocol === "https:" || (url?.protocol === "http:" && registry.protocol === "http:");
  if (url !== null && isWeb && url.username === "" && url.password === "") return url.href;
  throw new RegistryFault(
    "bad-source",
    "The code registry names an address for the tarball that is not allowed.",
    {
      detail: url === null ? registry.host : `${url.protocol}//${url.host}`,
    },
  );
}

/** The document that publishes a version. */
function document(args: {
  access: NpmAccess;
  version: string;
  tag: string;
  tarball: Buffer;
  manifest: object;
  address: string;
}): Buffer {
  const { access, version, tag, tarball, manifest } = args;
  const { package: name } = access;
  const base = name.split("/").at(-1);
  const file = `${name}-${version}.tgz`;
  const hash = (algorithm: string) => createHash(algorithm).update(tarball);
  const dist = {
    integrity: `sha512-${hash("sha512").digest("base64")}`,
    shasum: hash("sha1").digest("hex"),
    tarball: `${access.url.replace(/\/+$/, "")}/${name}/-/${base}-${version}.tgz`,
  };
  return Buffer.from(
    JSON.stringify({
      _id: name,
      name,
      "dist-tags": { [tag]: version },
      versions: { [version]: { ...manifest, _id: `${name}@${version}`, dist } },
      access: "restricted",
      _attachments: {
        [file]: {
          content_type: "application/octet-stream",
          data: tarball.toString("base64"),
          length: tarball.length,
        },
      },
    }),
  );
}
