import { useMutation } from "@tanstack/react-query";
import { client } from "../kernel/client.ts";
import { Icon } from "../kernel/icon.tsx";

const PAGE_LINES = 5_000;

/** The whole log as text, gaps included: what was written so far. */
async function readAll(runId: string): Promise<string[]> {
  const lines: string[] = [];
  let after = "0:0";
  for (;;) {
    const page = await client.getLogs({ params: { runId }, query: { after, limit: PAGE_LINES } });
    for (const entry of page.entries) {
      if (entry.kind === "gap") lines.push(`--- ${entry.count} lines lost: ${entry.reason}\n`);
      else lines.push(`${entry.at} ${entry.level} ${entry.text}\n`);
    }
    if (page.end || page.next === after || page.entries.length === 0) return lines;
    after = page.next;
  }
}

function save(name: string, parts: string[]): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Saves a run's whole log as a file. */
export function LogDownload({ runId }: { runId: string }) {
  const download = useMutation({
    mutationFn: async () => save(`run-${runId}.log`, await readAll(runId)),
  });
  return (
    <button
      type="button"
      className="chip px-1.5!"
      disabled={download.isPending}
      title={download.error ? String(download.error) : "Download the whole log"}
      aria-label="Download the whole log"
      onClick={() => download.mutate()}
    >
      <Icon name="download" size={14} />
    </button>
  );
}
