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
      readonly kind: "npm";
      /** The registry, without credentials. */
      readonly url: string;
      /** `@data/flows`. */
      readonly package: string;
      readonly username?: string | undefined;
      readonly password?: string | undefined;
      readonly token?: string | undefined;
    }
  | {
      readonly kind: "git";
      /** `https://`, `http://` or `file://`, without credentials, or `ssh://USER@HOST/PATH`. */
      readonly url: string;
      readonly username?: string | undefined;
      readonly password?: string | undefined;
      /** Sent with each request, name to value. */
      readonly extraHeaders?: Readonly<Record<string, string>>;
      /** For ssh: the private key as OpenSSH writes it, without a passphrase. */
      readonly key?: string | undefined;
      /** For ssh: the server's host keys as lines of `known_hosts`. No other host key is accepted. */
      readonly knownHosts?: string | undefined;
    };

/** Which code: a digest from a verified spec, and a registry of the worker's configuration. */
export interface CodeRequest {
  readonly source: CodeSource;
  /** `sha256:` and 64 hex digits of an OCI manifest or an archive, `sha512:` and 128 of a tarball, or the 40 or 64 hex digits of a git commit. Lower case. */
  readonly digest: string;
  /** The version of a package of an npm registry. */
  readonly version?: string | undefined;
}

const NPM_DIGEST = /^sha512:([0-9a-f]{128})$/;
const OCI_DIGEST = /^sha256:([0-9a-f]{64})$/;
const GIT_COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * The digest's hex digits, checked for the kind of source.
 * @throws CodeError `bad-ref`. It does not repeat the text, which came from outside.
 */
export function parseDigest(request: CodeRequest): string {
  if (request.source.kind === "npm") {
    const hex = NPM_DIGEST.exec(request.digest)?.[1];
    if (hex && request.version !== undefined) return hex;
    throw new CodeError(
      "bad-ref",
      "Code in an npm registry is named by a version and sha512: with 128 hex digits.",
    );
  }
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
