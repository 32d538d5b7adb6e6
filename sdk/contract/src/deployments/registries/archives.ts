import { faultOf, isOk } from "./answers.ts";
import { RegistryFault } from "./fault.ts";
import { openRegistryHttp, type RegistryAnswer, type RegistryCall, type RegistryGround } from "./http.ts";
import { basicOf } from "./oci-login.ts";

/** Archives (`tar.gz`) below one address, each named by its SHA-256. */
export interface Archives extends AsyncDisposable {
  /** The bytes of an archive, unchecked. @throws RegistryFault. */
  open(hex: string): Promise<RegistryAnswer>;
  /** The bytes of another file below the address, unchecked. @param path With `/`. @throws RegistryFault. */
  file(path: string): Promise<RegistryAnswer>;
  /** Whether there is an archive of this name and size. */
  has(archive: { hex: string; sizeBytes: number }): Promise<boolean>;
  /** Uploads an archive, unless it is there. @returns Whether it was uploaded. */
  push(archive: { hex: string; bytes: Uint8Array }): Promise<boolean>;
  /** Checks that archives can be read with the login. @throws RegistryFault. */
  check(): Promise<void>;
}

/** The address of an archive. */
export function archiveUrl(base: string, hex: string): string {
  return `${base.replace(/\/+$/, "")}/${hex}.tar.gz`;
}

/** The name of an archive that nobody has. */
const NONE = "0".repeat(64);

/** Archives at `base`. @param args.login Adds the login to a request. */
export function archivesAt(args: {
  readonly base: string;
  readonly ground: RegistryGround;
  readonly login: (call: RegistryCall) => RegistryCall | Promise<RegistryCall>;
}): Archives {
  const http = openRegistryHttp(args.base, args.ground);
  const at = (hex: string) => archiveUrl(args.base, hex);
  const send = async (call: RegistryCall) => await http.send(await args.login(call));
  const open = async (hex: string) => {
    const answer = await send({ method: "GET", url: at(hex) });
    if (!isOk(answer.status)) throw await faultOf(answer, `the archive ${hex}`);
    return answer;
  };
  const file = async (path: string) => {
    const url = [args.base.replace(/\/+$/, ""), ...path.split("/").map(encodeURIComponent)].join("/");
    const answer = await send({ method: "GET", url });
    if (!isOk(answer.status)) throw await faultOf(answer, `the file ${path}`);
    return answer;
  };
  const has = async ({ hex, sizeBytes }: { hex: string; sizeBytes: number }) => {
    const answer = await send({ method: "HEAD", url: at(hex) });
    answer.discard();
    return isOk(answer.status) && answer.sizeBytes === sizeBytes;
  };
  return {
    open,
    file,
    has,
    async push({ hex, bytes }) {
      if (await has({ hex, sizeBytes: bytes.length })) return false;
      const headers = { "content-type": "application/gzip" };
      const answer = await send({ method: "PUT", url: at(hex), headers, body: bytes });
      if (!isOk(answer.status)) throw await faultOf(answer, "the upload of an archive");
      answer.discard();
      return true;
    },
    async check() {
      const answer = await send({ method: "GET", url: at(NONE) });
      if (isOk(answer.status)) {
        answer.discard();
        throw new RegistryFault(
          "bad-answer",
          "The code registry has an answer for every address. Another program may answer there.",
          { detail: http.origin },
        );
      }
      const fault = await faultOf(answer, "archives");
      // S3 has the same status for a missing bucket.
      if (fault.code !== "not-found" || fault.detail?.includes("NoSuchBucket")) throw fault;
    },
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}

/** Archives below an address over HTTP, and the login for them. */
export interface HttpArchiveAccess {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Sent as `Bearer`, in place of a password. */
  readonly token?: string | undefined;
}

/** The value of `Authorization` of a login that is sent without being asked for. Null without a login. */
export function authorizationOf(access: Omit<HttpArchiveAccess, "url">): string | null {
  return access.token === undefined ? basicOf(access) : `Bearer ${access.token}`;
}

/** Opens archives on a web server. */
export function openHttpArchives(access: HttpArchiveAccess, ground: RegistryGround): Archives {
  const authorization = authorizationOf(access);
  return archivesAt({ base: access.url, ground, login: (call) => ({ ...call, authorization }) });
}
