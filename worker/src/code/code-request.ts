import { CodeError } from "./code-error.ts";

/** A code registry of the worker's own configuration. */
export type CodeSource =
  | { readonly kind: "oci-layout"; readonly path: string }
  | {
      readonly kind: "oci";
      /** The registry's origin and the repository, without credentials. */
      readonly url: string;
      readonly username?: string | undefined;
      readonly password?: string | undefined;
      /** The token endpoint on another origin, which may get the login. */
      readonly tokenUrl?: string | undefined;
    }
  | {
      readonly kind: "s3";
      /** `s3://bucket/prefix`. */
      readonly url: string;
      readonly endpoint?: string | undefined;
      readonly region?: string | undefined;
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken?: string | undefined;
    }
  | {
      readonly kind: "archive";
      /** The folder of the archives on a web server, without credentials. */
      readonly url: string;
      readonly username?: string | undefined;
      readonly password?: string | undefined;
      readonly token?: string | undefined;
    }
  | {
      readonly kind: "git";
      /** `https://`, `http://` or `file://`, without credentials. */
      readonly url: string;
      readonly username?: string | undefined;
      readonly password?: string | undefined;
      /** Sent with each request, name to value. */
      readonly extraHeaders?: Readonly<Record<string, string>>;
    };

/** Which code: a digest from a verified spec, and a registry of the worker's configuration. */
export interface CodeRequest {
  readonly source: CodeSource;
  /** `sha256:` and 64 hex digits of an OCI manifest or an archive, or the 40 or 64 hex digits of a git commit. Lower case. */
  readonly digest: string;
}

const OCI_DIGEST = /^sha256:([0-9a-f]{64})$/;
const GIT_COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * The digest's hex digits, checked for the kind of source.
 * @throws CodeError `bad-ref`. It does not repeat the text, which came from outside.
 */
export function parseDigest(request: CodeRequest): string {
  if (request.source.kind !== "git") {
    const hex = OCI_DIGEST.exec(request.digest)?.[1];
    if (hex) return hex;
    throw new CodeError(
      "bad-ref",
      "Code in this kind of registry is named by sha256: and 64 lower-case hex digits.",
    );
  }
  if (GIT_COMMIT.test(request.digest)) return request.digest;
  throw new CodeError(
    "bad-ref",
    "Code in git is named by a full commit id of 40 or 64 lower-case hex digits.",
  );
}

/** The name of a tree in the cache. */
export function cacheKey(request: CodeRequest): string {
  return `${request.source.kind}-${parseDigest(request)}`;
}
