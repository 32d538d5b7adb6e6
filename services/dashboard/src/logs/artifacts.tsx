import { type Artifact, type ArtifactBody, printable } from "@towpath/contract";
import { lazy, Suspense, useState } from "react";
import { Bar } from "../kernel/bar.tsx";
import { Panel } from "../kernel/panel.tsx";

/** It is half of the page's code, and most runs have no markdown. */
const MarkdownText = lazy(() => import("./markdown-text.tsx"));
/** Most artifacts are in the control plane. */
const StoredArtifact = lazy(() => import("./stored-artifact.tsx"));

/** Rows that are shown at first. */
const ROWS_SHOWN = 500;

function cell(value: unknown): string {
  if (value === null) return "–";
  if (typeof value === "number") return value.toLocaleString("en-US", { maximumSignificantDigits: 6 });
  return typeof value === "string" ? printable(value) : JSON.stringify(value);
}

function isNumeric(body: Extract<ArtifactBody, { kind: "table" }>, column: number): boolean {
  return typeof body.rows[0]?.[column] === "number";
}

const CELL = "px-2 py-1 font-normal";
const NUMBER = `${CELL} text-right tabular-nums`;

function TableBody({ body }: { body: Extract<ArtifactBody, { kind: "table" }> }) {
  const [isWhole, setWhole] = useState(false);
  const rows = isWhole ? body.rows : body.rows.slice(0, ROWS_SHOWN);
  return (
    <div className="overflow-x-auto">
      <table className="w-full text-12">
        <thead>
          <tr className="border-b border-line text-left text-faint">
            {body.columns.map((column, index) => (
              <th key={column} className={isNumeric(body, index) ? NUMBER : CELL}>
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity of their own.
            <tr key={index} className="border-line not-last:border-b">
              {row.map((value, column) => (
                <td key={body.columns[column]} className={typeof value === "number" ? NUMBER : CELL}>
                  {cell(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length < body.rows.length && (
        <button type="button" className="chip mt-2" onClick={() => setWhole(true)}>
          Show all {body.rows.length.toLocaleString("en-US")} rows
        </button>
      )}
    </div>
  );
}

function ProgressBody({ body }: { body: Extract<ArtifactBody, { kind: "progress" }> }) {
  const total = body.total === null ? "" : ` of ${body.total.toLocaleString("en-US")}`;
  return (
    <div className="flex min-w-0 flex-1 items-center gap-3">
      {body.total !== null && (
        <Bar
          role="progressbar"
          label={`Done of ${body.total}`}
          className="h-1.5 min-w-0 flex-1"
          value={body.done}
          max={body.total}
        />
      )}
      <span className="text-12 text-soft tabular-nums">
        {body.done.toLocaleString("en-US")}
        {total} {body.unit}
      </span>
    </div>
  );
}

function Body({ artifact, runId }: { artifact: Artifact; runId: string }) {
  const { body } = artifact;
  switch (body.kind) {
    case "stored":
      return (
        <Suspense fallback={<div className="skeleton h-16" />}>
          <StoredArtifact
            runId={runId}
            body={body}
            draw={(opened) => <Body artifact={{ ...artifact, body: opened }} runId={runId} />}
          />
        </Suspense>
      );
    case "table":
      return <TableBody body={body} />;
    case "progress":
      return <ProgressBody body={body} />;
    case "markdown":
      return (
        <Suspense fallback={<pre className="whitespace-pre-wrap">{body.text}</pre>}>
          <MarkdownText text={body.text} />
        </Suspense>
      );
    case "image":
      return (
        <img
          className="max-w-full"
          alt={artifact.title || artifact.key}
          src={`data:${body.mediaType};base64,${body.base64}`}
        />
      );
    case "link":
      return (
        <a className="text-accent hover:underline" href={body.url} rel="noreferrer noopener" target="_blank">
          {body.text || body.url}
        </a>
      );
  }
}

function Progress({ artifacts, runId }: { artifacts: readonly Artifact[]; runId: string }) {
  if (artifacts.length === 0) return null;
  return (
    <Panel title="Progress">
      <div className="space-y-1.5">
        {artifacts.map((artifact) => (
          <div key={artifact.key} className="flex items-center gap-3">
            <span className="w-32 truncate">{printable(artifact.title || artifact.key)}</span>
            <Body artifact={artifact} runId={runId} />
          </div>
        ))}
      </div>
    </Panel>
  );
}

function noteOf({ body }: Artifact): string {
  return body.kind === "stored" ? `${body.of} from your store` : body.kind;
}

/** The artifacts of a run: progress first, then the others in the order of their last update. */
export function Artifacts({ artifacts, runId }: { artifacts: readonly Artifact[]; runId: string }) {
  const ordered = artifacts.toSorted((a, b) => a.updatedAt.localeCompare(b.updatedAt));
  const shown = ordered.filter((artifact) => artifact.body.kind !== "progress");
  return (
    <>
      <Progress artifacts={ordered.filter((artifact) => artifact.body.kind === "progress")} runId={runId} />
      {shown.map((artifact) => (
        <Panel key={artifact.key} title={printable(artifact.title || artifact.key)} note={noteOf(artifact)}>
          <Body artifact={artifact} runId={runId} />
        </Panel>
      ))}
    </>
  );
}
