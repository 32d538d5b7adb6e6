import type { DeployOutcome } from "towpath/deploy";
import { expect, test } from "vitest";
import { createOutput } from "../output.ts";
import { printDeploy } from "./commands.ts";

function linesFor(outcome: Partial<DeployOutcome>): string[] {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.trimEnd()) };
  const output = createOutput({ stdout: stream, stderr: stream }, { json: false, color: false });
  const whole = {
    deployment: "hello",
    version: 2,
    status: "planned",
    digest: "sha256:a",
    keyId: "k",
    changed: null,
  };
  printDeploy(output, {
    outcomes: [{ ...whole, ...outcome } as DeployOutcome],
    pushed: null,
    code: { files: 2, bytes: 2048, largest: [{ path: "flow.js", bytes: 1024 }] },
    warnings: [],
    ledger: null,
  });
  return lines;
}

test.each([
  [{ changed: ["code", "parameters"] }, "would register  a       k          code, parameters"],
  [{ version: 1 }, "would register  a       k          new"],
  [{ wasRemoved: true }, "would register  a       k          new after its removal"],
  [{}, "would register  a       k          signed with another key"],
  [{ status: "unchanged", changed: [] }, "unchanged  a       k"],
] as const)("The plan shows the change of %j", (outcome, line) =>
  expect(linesFor(outcome)[2]).toMatch(new RegExp(`${line}$`)),
);
