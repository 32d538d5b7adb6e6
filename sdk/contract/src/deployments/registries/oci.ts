import { createHash } from "node:crypto";
import { z } from "zod";
import { faultOf, isOk, readBytes, readJson } from "./answers.ts";
import { RegistryFault } from "./fault.ts";
import { locationOf, openRegistryHttp, type RegistryAnswer, type RegistryGround } from "./http.ts";
import { type OciAccess, OciSession } from "./oci-login.ts";

/*
 * The OCI distribution API: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const TAGS_BYTES = 4 * 1024 * 1024;
const ACCEPTED = 202;

/** The digest of bytes, as OCI writes it. */
export function sha256Digest(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** One repository of an OCI registry. */
export interface OciRepository extends AsyncDisposable {
  /**
   * The manifest of this digest.
   * @throws RegistryFault `digest-mismatch` for other bytes; `not-found`; `too-large`.
   */
  readManifest(args: { digest: string; mostBytes: number }): Promise<Buffer>;
  /** The bytes of a blob, unchecked. @throws RegistryFault. */
  openBlob(digest: string): Promise<RegistryAnswer>;
  /** Uploads a blob, unless the repository has it. @returns Whether it was uploaded. */
  pushBlob(bytes: Uint8Array): Promise<boolean>;
  /** Uploads a manifest under a tag. Its blobs must be there. */
  pushManifest(args: { bytes: Uint8Array; tag: string }): Promise<void>;
  /** Checks that the repository can be read, or pushed to, with the login. An empty repository is fine. @throws RegistryFault. */
  check(): Promise<void>;
}

/** Opens a repository. @param args.push Whether the login must allow to push. */
export function openOciRepository(args: {
  readonly access: OciAccess;
  readonly ground: RegistryGround;
  readonly push: boolean;
}): OciRepository {
  const { access, ground } = args;
  const { origin, pathname } = new URL(access.url);
  const name = pathname.replace(/^\/|\/$/g, "");
  const http = openRegistryHttp(access.url, ground);
  const scope = `repository:${name}:${args.push ? "pull,push" : "pull"}`;
  const session = new OciSession(http, { access, scope });
  const at = (path: string) => `${origin}/v2/${name}/${path}`;
  return {
    readManifest: async ({ digest, mostBytes }) => {
      const headers = { accept: MANIFEST_TYPE };
      const answer = await session.send({ method: "GET", url: at(`manifests/${digest}`), headers });
      if (!isOk(answer.status)) throw await faultOf(answer, `the manifest ${digest}`);
      const bytes = await readBytes(answer, mostBytes);
      if (sha256Digest(bytes) === digest) return bytes;
      throw new RegistryFault("digest-mismatch", `The code registry's manifest does not match ${digest}.`);
    },
    openBlob: async (digest) => {
      const answer = await session.send({ method: "GET", url: at(`blobs/${digest}`) });
      if (!isOk(answer.status)) throw await faultOf(answer, `the blob ${digest}`);
      return answer;
    },
    pushBlob: (bytes) => pushBlob(session, { at, bytes }),
    pushManifest: async ({ bytes, tag }) => {
      const url = at(`manifests/${tag}`);
      const headers = { "content-type": MANIFEST_TYPE };
      const answer = await session.send({ method: "PUT", url, headers, body: bytes });
      if (!isOk(answer.status)) throw await faultOf(answer, "the upload of a manifest");
      answer.discard();
    },
    check: () => check(session, at("tags/list?n=1")),
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}

async function pushBlob(
  session: OciSession,
  { at, bytes }: { at: (path: string) => string; bytes: Uint8Array },
): Promise<boolean> {
  const digest = sha256Digest(bytes);
  const there = await session.send({ method: "HEAD", url: at(`blobs/${digest}`) });
  there.discard();
  if (isOk(there.status)) return false;
  const started = await session.send({ method: "POST", url: at("blobs/uploads/") });
  if (started.status !== ACCEPTED) throw await faultOf(started, "an upload");
  started.discard();
  const to = locationOf(started, new URL(started.url));
  to.searchParams.set("digest", digest);
  const headers = { "content-type": "application/octet-stream" };
  const done = await session.send({ method: "PUT", url: to.href, headers, body: bytes });
  if (!isOk(done.status)) throw await faultOf(done, "the upload of a blob");
  done.discard();
  return true;
}

const Tags = z.object({ tags: z.array(z.string()).nullish() });
const Errors = z.object({ errors: z.array(z.unknown()).min(1) });

async function check(session: OciSession, url: string): Promise<void> {
  const answer = await session.send({ method: "GET", url });
  // A repository is made by the first push.
  if (answer.status === 404) return void (await readJson(answer, { shape: Errors, mostBytes: TAGS_BYTES }));
  if (!isOk(answer.status)) throw await faultOf(answer, "the repository");
  await readJson(answer, { shape: Tags, mostBytes: TAGS_BYTES });
}
