import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import {
  type DeploymentVersion,
  entryText,
  pythonText,
  shortId,
  type VersionDetail,
  type VersionTrust,
} from "@towpath/contract";
import { type ReactNode, useState } from "react";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { CopyText } from "../kernel/copy-text.tsx";
import { Instant } from "../kernel/instant.tsx";
import { Facts, Panel } from "../kernel/panel.tsx";
import { QueryResult } from "../kernel/query-result.tsx";
import { SpecChanges } from "./spec-changes.tsx";

/** The name of a digest, by the kind of code. */
const DIGEST_WORDS: Record<DeploymentVersion["code"]["kind"], string> = {
  git: "Commit",
  "oci-layout": "Digest of the image",
  oci: "Digest of the image",
  s3: "Digest of the archive",
  archive: "Digest of the archive",
  npm: "Digest of the tarball",
};

function RunLink({ runId }: { runId: string }) {
  return (
    <Link to="/runs/$runId" params={{ runId }} className="text-accent underline">
      run {shortId(runId)}
    </Link>
  );
}

function Verdict({ mark, colour, children }: { mark: string; colour: string; children: ReactNode }) {
  return (
    <p className="flex gap-2">
      <span aria-hidden="true" className={colour}>
        {mark}
      </span>
      <span className="min-w-0">{children}</span>
    </p>
  );
}

function TrustText({ trust: { started, refused } }: { trust: VersionTrust }) {
  return (
    <div className="space-y-1">
      {started && (
        <Verdict mark="✓" colour="text-good">
          Verified by <strong className="font-medium">{started.worker ?? "a worker"}</strong>{" "}
          <Instant at={started.at} />, before <RunLink runId={started.runId} />.
        </Verdict>
      )}
      {refused && (
        <Verdict mark="✗" colour="text-bad">
          Refused by <strong className="font-medium">{refused.worker ?? "a worker"}</strong>{" "}
          <Instant at={refused.at} />: {refused.reason || "no reason given"} (
          <RunLink runId={refused.runId} />)
        </Verdict>
      )}
      {!started && !refused && (
        <Verdict mark="○" colour="text-faint">
          No worker has started this version yet, so none has verified it.
        </Verdict>
      )}
    </div>
  );
}

function Signature({ name, detail }: { name: string; detail: VersionDetail }) {
  const { version, keyId } = detail.version;
  const trust = useQuery({
    queryKey: ["version-trust", name, version],
    queryFn: ({ signal }) => client.getVersionTrust({ params: { name, version } }, { signal }),
  });
  return (
    <Panel title="Signature">
      <QueryResult query={trust} rows={1}>
        {(found) => <TrustText trust={found} />}
      </QueryResult>
      <p className="mt-2 text-12 text-faint">
        Signed with key <code className="[overflow-wrap:anywhere]">{keyId}</code>. Workers verify the
        signature with their own trusted keys before each run. The control plane cannot verify it.
      </p>
    </Panel>
  );
}

function Since({
  name,
  detail,
  versions,
}: {
  name: string;
  detail: VersionDetail;
  versions: readonly DeploymentVersion[];
}) {
  const navigate = useNavigate({ from: "/deployments/$name" });
  const { version } = detail.version;
  if (detail.since === null) return null;
  const numbers = [...new Set([...versions.map((one) => one.version), detail.since])].filter(
    (one) => one !== version,
  );
  return (
    <label className="flex items-center gap-1.5 text-12 text-soft">
      compared with
      <select
        aria-label={`Compare ${name} v${version} with`}
        className="field h-6! py-0!"
        value={detail.since}
        onChange={(event) =>
          void navigate({
            search: { tab: "versions", version, since: Number(event.target.value) },
            replace: true,
            resetScroll: false,
          })
        }
      >
        {numbers.map((one) => (
          <option key={one} value={one}>
            v{one}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The command that returns to an earlier version. The dashboard has no key, so a person signs in a terminal. */
function Rollback({ name, version }: { name: string; version: number }) {
  // Without the trailing @, a name that has several stages is not accepted.
  const written = name.includes("@") ? name : `${name}@`;
  return (
    <div className="mt-3 space-y-1.5 border-t border-line pt-3">
      <p className="text-12 text-soft">
        Run this command where your signing key is. It verifies v{version}, shows what changes, and signs its
        content as the next version.
      </p>
      <CopyText text={`towpath deployments rollback ${written} ${version}`} />
    </div>
  );
}

/** A version's author, time and code, and for an earlier version the way back to it. */
function Summary({ name, detail, latest }: { name: string; detail: VersionDetail; latest: number }) {
  const [rollback, setRollback] = useState(false);
  const { version, code, entry, registeredAt, registeredBy } = detail.version;
  return (
    <Panel
      title={`Version ${version}`}
      actions={
        version < latest && (
          <Button aria-expanded={rollback} onClick={() => setRollback(!rollback)}>
            Roll back to v{version}
          </Button>
        )
      }
    >
      <Facts
        facts={[
          ["Deployed by", registeredBy],
          ["Deployed", <Instant key="at" at={registeredAt} absolute />],
          ["Entrypoint", <code key="entry">{entryText(entry)}</code>],
          ...(pythonText(entry) === null ? [] : [["Python", pythonText(entry)] as const]),
          ["Code registry", `${code.registry} (${code.kind})`],
          ["Oldest version allowed", `v${String(detail.spec.floor)}`],
          ...(Array.isArray(detail.spec.tags) && detail.spec.tags.length > 0
            ? [["Tags", detail.spec.tags.join(", ")] as const]
            : []),
          ...(typeof detail.spec.expiresAt === "string"
            ? [["Expires", <Instant key="expires" at={detail.spec.expiresAt} absolute />] as const]
            : []),
        ]}
      />
      <p className="mt-3 mb-1 flex gap-3 text-11 text-faint">
        {DIGEST_WORDS[code.kind]}
        {code.kind === "git" && code.link && (
          <a href={code.link} target="_blank" rel="noopener noreferrer" className="text-accent underline">
            {new URL(code.link).host}
          </a>
        )}
      </p>
      <CopyText text={code.digest} />
      {rollback && <Rollback name={name} version={version} />}
    </Panel>
  );
}

/** One version: its code, its author, its signature, and the changes of its spec. */
export function VersionPanel({
  name,
  version,
  latest,
  since,
  versions,
}: {
  name: string;
  version: number;
  /** The number of the latest version. */
  latest: number;
  since: number | undefined;
  versions: readonly DeploymentVersion[];
}) {
  const query = useQuery({
    queryKey: ["version", name, version, since],
    queryFn: ({ signal }) =>
      client.getVersion(
        { params: { name, version }, query: since === undefined ? {} : { since } },
        { signal },
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <QueryResult query={query} rows={6}>
      {(detail) => (
        <div className="flex min-w-0 flex-col gap-4">
          <Summary name={name} detail={detail} latest={latest} />
          <Signature name={name} detail={detail} />
          <Panel
            title="What changed in the spec"
            flush
            actions={<Since name={name} detail={detail} versions={versions} />}
          >
            {detail.since === null ? (
              <p className="p-3 text-faint">This is the first version.</p>
            ) : (
              <SpecChanges changes={detail.changes} />
            )}
          </Panel>
        </div>
      )}
    </QueryResult>
  );
}
