import { createHash } from "node:crypto";
import { AwsV4Signer } from "aws4fetch";
import { type Archives, archivesAt } from "./archives.ts";
import type { RegistryCall, RegistryGround } from "./http.ts";

/** A prefix in a bucket that speaks S3, with its credentials. */
export interface S3ArchiveAccess {
  /** `s3://bucket/prefix`. */
  readonly url: string;
  /** Missing: AWS. */
  readonly endpoint?: string | undefined;
  /** Missing: that of the variable `AWS_REGION`, or `us-east-1`. */
  readonly region?: string | undefined;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

type Located = S3ArchiveAccess & { readonly region: string };

/** With an endpoint of its own the bucket is in the path, which every server understands. At AWS it is in the host name. */
function baseOf({ url, endpoint, region }: Located): string {
  const [, bucket = "", prefix = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url) ?? [];
  const base = endpoint
    ? `${endpoint.replace(/\/+$/, "")}/${bucket}`
    : `https://${bucket}.s3.${region}.amazonaws.com`;
  const folders = prefix.split("/").filter((part) => part !== "");
  return [base, ...folders.map(encodeURIComponent)].join("/");
}

/** Opens archives in a bucket. */
export function openS3Archives(access: S3ArchiveAccess, ground: RegistryGround): Archives {
  const located = { ...access, region: access.region ?? ground.environment.AWS_REGION ?? "us-east-1" };
  return archivesAt({ base: baseOf(located), ground, login: (call) => signed(call, located) });
}

/** A request with a signature of its address, method and body (AWS Signature Version 4). It is valid only at its own origin. */
async function signed(call: RegistryCall, access: Located): Promise<RegistryCall> {
  const { accessKeyId, secretAccessKey, sessionToken, region } = access;
  const digest = createHash("sha256")
    .update(call.body ?? "")
    .digest("hex");
  const signer = new AwsV4Signer({
    method: call.method,
    url: call.url,
    headers: { "x-amz-content-sha256": digest },
    accessKeyId,
    secretAccessKey,
    region,
    service: "s3",
    ...(sessionToken !== undefined && { sessionToken }),
  });
  const { headers } = await signer.sign();
  return { ...call, ownHeaders: Object.fromEntries(headers) };
}
