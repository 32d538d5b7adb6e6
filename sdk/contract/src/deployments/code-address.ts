import { z } from "zod";

const ADDRESS_CHARS_MAX = 2048;

/** The address of a code registry: http or https, without a login, a query or a fragment. */
export const CodeAddress = z
  .url({ protocol: /^https?$/, error: "the registry's address, https:// or http://" })
  .max(ADDRESS_CHARS_MAX)
  .refine(
    (text) => !URL.canParse(text) || (new URL(text).username === "" && new URL(text).password === ""),
    "must not contain a login; use username and password",
  )
  .refine((text) => !/[?#]/.test(text), "must not have a query or a fragment");

/** @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests */
const REPOSITORY = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;

/** An OCI repository: the registry's address with the repository's name as its path, `https://registry.internal/data/flows`. */
export const OciAddress = CodeAddress.refine(
  (text) => !URL.canParse(text) || REPOSITORY.test(new URL(text).pathname.replace(/^\/|\/$/g, "")),
  "must end with the repository's name in lower case, as in https://registry.internal/data/flows",
);

/** A package with a scope, `@data/flows`. Without a scope it could be published for everybody. */
export const NpmPackageName = z
  .string()
  .max(214)
  .regex(
    /^@[a-z0-9~][a-z0-9._~-]*\/[a-z0-9~][a-z0-9._~-]*$/,
    "must be a package with a scope, such as @data/flows",
  );

/** A prefix in a bucket, `s3://bucket/prefix`. */
export const BucketAddress = z
  .string()
  .max(ADDRESS_CHARS_MAX)
  .regex(
    /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[^?#\p{Cc}]*)?$/u,
    "must be s3://bucket/prefix, with the bucket's name in lower case",
  );
