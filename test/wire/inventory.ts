import { readFileSync } from "node:fs";
import {
  AnswerRead,
  BulkRecord,
  Call,
  CallBack,
  Claim,
  ControlRecord,
  ListCheckpoints,
  OpenSession,
  PollReads,
  Renew,
  Report,
  TendJobs,
} from "@towpath/contract";
import type { z } from "zod";

const page = readFileSync(new URL("../../DATA.md", import.meta.url), "utf8");

/** The sections of DATA.md by a part of their titles, with the schema whose fields each lists. */
export const SECTIONS: readonly [string, z.ZodType][] = [
  ["/api/worker/session", OpenSession],
  ["/api/worker/claim", Claim],
  ["/api/worker/renew", Renew],
  ["/api/worker/report", Report],
  ["Control records", ControlRecord],
  ["Bulk records", BulkRecord],
  ["/api/worker/reads`", PollReads],
  ["/api/worker/reads/answer", AnswerRead],
  ["/api/worker/checkpoints", ListCheckpoints],
  ["/api/worker/call", Call],
  ["/api/worker/jobs", TendJobs],
  ["/api/callbacks", CallBack],
];

function sectionOf(title: string): string | undefined {
  return page.split(/^#+ /m).find((part) => part.split("\n", 1)[0]?.includes(title));
}

/** Whether a heading of DATA.md contains `title`. */
export function hasSection(title: string): boolean {
  return sectionOf(title) !== undefined;
}

/** The fields that DATA.md lists under the heading that contains `title`, down to the next heading. */
export function listedUnder(title: string): string[] {
  const section = sectionOf(title);
  if (section === undefined) return [];
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  const names = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""),
  );
  return [...new Set(names)].sort();
}
