import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { type Received, shortId } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { CopyText } from "../kernel/copy-text.tsx";
import { bytes } from "../kernel/format.ts";
import { Instant } from "../kernel/instant.tsx";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Empty, QueryResult } from "../kernel/query-result.tsx";

type Kind = Received["kinds"][number];

/** The name of each kind, and what of it is stored. */
const WORDS: Record<Kind["kind"], { name: string; kept: string }> = {
  task: { name: "Task calls", kept: "the current state of each call, not its earlier states" },
  kept: { name: "Kept values", kept: "refs to your store; the values stay there" },
  log: { name: "Log lines", kept: "each line once, after redaction" },
  gap: { name: "Gaps", kept: "how many lines were lost, and why" },
  artifact: { name: "Artifacts", kept: "the latest content for each key" },
  ended: { name: "Results of attempts", kept: "the outcome, with the error and the ref of the result" },
};

const HEAD = "py-1.5 pr-4 text-left text-12 font-normal text-faint";
const CELL = "border-t border-line py-1.5 pr-4 align-top";

function Kinds({ kinds }: Pick<Received, "kinds">) {
  const total = (pick: "records" | "bytes") => kinds.reduce((sum, one) => sum + one[pick], 0);
  return (
    <div className="overflow-x-auto px-3 pb-2">
      <table className="w-full">
        <thead>
          <tr>
            <th className={HEAD}>Kind</th>
            <th className={`${HEAD} text-right`}>Records</th>
            <th className={`${HEAD} text-right`}>Size</th>
            <th className={`${HEAD} max-md:hidden`}>First</th>
            <th className={`${HEAD} max-md:hidden`}>Last</th>
          </tr>
        </thead>
        <tbody>
          {kinds.map((one) => (
            <tr key={one.kind} data-kind={one.kind}>
              <td className={CELL}>
                <span className="font-medium">{WORDS[one.kind].name}</span>
                <span className="block text-12 text-faint">{WORDS[one.kind].kept}</span>
              </td>
              <td className={`${CELL} text-right tabular-nums`}>{one.records.toLocaleString("en-US")}</td>
              <td className={`${CELL} text-right whitespace-nowrap tabular-nums`}>{bytes(one.bytes)}</td>
              <td className={`${CELL} text-soft max-md:hidden`}>
                {one.firstAt && <Instant at={one.firstAt} absolute />}
              </td>
              <td className={`${CELL} text-soft max-md:hidden`}>
                {one.lastAt && <Instant at={one.lastAt} absolute />}
              </td>
            </tr>
          ))}
          <tr className="font-medium">
            <td className={CELL}>All</td>
            <td className={`${CELL} text-right tabular-nums`}>{total("records").toLocaleString("en-US")}</td>
            <td className={`${CELL} text-right whitespace-nowrap tabular-nums`}>{bytes(total("bytes"))}</td>
            <td className={`${CELL} max-md:hidden`} colSpan={2} />
          </tr>
        </tbody>
      </table>
    </div>
  );
}

function Fields({ fields }: Pick<Received, "fields">) {
  const groups = [...Map.groupBy(fields, (one) => one.kind)];
  return (
    <div className="grid gap-x-8 px-3 pb-3 md:grid-cols-2">
      {groups.map(([kind, of]) => (
        <table key={kind} className="mt-2 w-full self-start">
          <caption className="py-1 text-left text-12 font-medium">{WORDS[kind].name}</caption>
          <thead className="sr-only">
            <tr>
              <th>Field</th>
              <th>Records with this field</th>
              <th>In DATA.md</th>
            </tr>
          </thead>
          <tbody>
            {of.map(({ field, records, listed }) => (
              <tr key={field}>
                <td className="border-t border-line py-1 font-mono text-12 [overflow-wrap:anywhere]">
                  {field}
                </td>
                <td className="border-t border-line py-1 text-right text-12 text-soft tabular-nums">
                  {records === null ? "some" : records.toLocaleString("en-US")}
                </td>
                <td
                  className={`w-28 border-t border-line py-1 text-right text-12 ${listed ? "text-good" : "text-bad"}`}
                >
                  {listed ? "✓ in DATA.md" : "✗ not listed"}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ))}
    </div>
  );
}

function Proof({ received }: { received: Received }) {
  const { workers, acknowledged, late } = received;
  const where = workers.length === 0 ? "the worker's machine" : workers.join(", ");
  return (
    <Panel title="Verify it yourself">
      <p className="mb-2 max-w-2xl text-soft">
        This page counts what the control plane has stored. To verify it, read the worker's own journal, which
        holds every record byte for byte as it was sent. Run this command on {where}:
      </p>
      <CopyText text={`towpath wire ${received.runId}`} />
      <p className="mt-2 max-w-2xl text-12 text-faint">
        The control plane acknowledged {acknowledged.control.toLocaleString("en-US")} control records and{" "}
        {acknowledged.bulk.toLocaleString("en-US")} bulk records. The journal counts these records, so its
        numbers differ from those below: one task call takes several records, and one record carries many log
        lines.
        {late > 0 &&
          ` ${late.toLocaleString("en-US")} more records arrived too late. They were counted and not stored.`}{" "}
        DATA.md lists every field that a worker can send. The build fails if a worker can send any other
        field.
      </p>
    </Panel>
  );
}

/** The records that the control plane has stored of a run, and the command that verifies them on the worker. */
export function ReceivedPage() {
  const { runId } = useParams({ from: "/runs/$runId/wire" });
  const query = useQuery({
    queryKey: ["received", runId],
    queryFn: ({ signal }) => client.getReceived({ params: { runId } }, { signal }),
  });
  return (
    <>
      <PageHead
        title="Data sent"
        note={
          <Link to="/runs/$runId" params={{ runId }} className="text-accent hover:underline">
            for run {shortId(runId)}
          </Link>
        }
      />
      <QueryResult query={query} look="panels" rows={9}>
        {(received) => (
          <div className="flex flex-col gap-4">
            <Proof received={received} />
            {received.kinds.length === 0 ? (
              <Empty title="No data has been sent for this run yet">
                The records that a worker sends are counted here by kind and field.
              </Empty>
            ) : (
              <>
                <Panel title="Stored by the control plane" flush>
                  <Kinds kinds={received.kinds} />
                </Panel>
                <Panel title="Fields" note="of the stored records" flush>
                  <Fields fields={received.fields} />
                </Panel>
              </>
            )}
          </div>
        )}
      </QueryResult>
    </>
  );
}
