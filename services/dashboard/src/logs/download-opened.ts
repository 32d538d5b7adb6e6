import { logFileText, shortId } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { reader } from "./stored-reader.ts";

/** Lines of one request. */
const PAGE_LINES = 1_000;
/** The longest file that the browser builds in memory, characters. */
const FILE_CHARS_MAX = 64 * 1024 * 1024;

/** A part of a run's log. */
interface Part {
  readonly runId: string;
  readonly attempt: number | undefined;
  readonly task: string | undefined;
}

/** The log as text, opened with the keys of this tab. Beyond the limit, the last line names the command that prints all of it. */
async function openedLog({ runId, attempt, task }: Part): Promise<string[]> {
  const { attempts } = await client.getRun({ params: { runId } });
  const manyAttempts = attempts > 1 && attempt === undefined;
  const texts: string[] = [];
  const narrowed = { ...(attempt !== undefined && { attempt }), ...(task !== undefined && { task }) };
  for (let after = "0:0", chars = 0; ; ) {
    const page = await client.getLogs({
      params: { runId },
      query: { ...narrowed, after, limit: PAGE_LINES },
    });
    const opened = await reader.entries(runId, page.entries);
    for (const entry of opened.entries) {
      const text = logFileText(entry, { manyAttempts });
      texts.push(text);
      chars += text.length;
    }
    if (page.end || page.next === after) return texts;
    if (chars > FILE_CHARS_MAX)
      return [...texts, `--- cut here: \`towpath logs ${runId}\` prints the whole log\n`];
    after = page.next;
  }
}

/** Builds the file of a sealed or stored log in the browser, and saves it as a download. The control plane has only ciphertext of it. */
export async function downloadOpened(part: Part): Promise<void> {
  const url = URL.createObjectURL(new Blob(await openedLog(part), { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `run-${shortId(part.runId)}.log`;
  link.click();
  URL.revokeObjectURL(url);
}
