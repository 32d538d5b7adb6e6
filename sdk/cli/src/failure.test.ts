import { ConnectionFailure, UnexpectedAnswer } from "@towpath/client";
import { PROBLEMS, Problem, type ProblemCode } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { EXIT, Failure, failureJson, failureLines, toFailure } from "./failure.ts";
import { styles } from "./output.ts";

const plain = styles(false);
const spoken = { url: "http://127.0.0.1:4200", urlFrom: "TOWPATH_URL", keyFrom: "TOWPATH_KEY" };

describe("a failure", () => {
  test("of every problem has an exit code from 64 on", () => {
    for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
      const failure = toFailure(new Problem(code, "because."), spoken);
      expect(EXIT[failure.exit]).toBeGreaterThanOrEqual(64);
      expect(failure.code).toBe(code);
    }
  });

  test("of the connection names the address, its source and the next command", () => {
    const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const failure = new ConnectionFailure(spoken.url, { timedOut: false, cause: refused });
    expect(failureLines(toFailure(failure, spoken), plain)).toEqual([
      "✗ Nothing answers at http://127.0.0.1:4200 (ECONNREFUSED).",
      "→ the address came from TOWPATH_URL",
      "→ start a control plane on this machine with `towpath dev`, or give another address with --url or TOWPATH_URL",
    ]);
  });

  test("of the key names its source, never the key", () => {
    const lines = failureLines(toFailure(new Problem("unauthenticated", "no such key"), spoken), plain);
    expect(lines[0]).toBe("✗ http://127.0.0.1:4200 does not accept the key.");
    expect(lines[1]).toBe("→ the key came from TOWPATH_KEY");
  });

  test("of another program at the address asks whether it is a control plane", () => {
    const failure = new UnexpectedAnswer(spoken.url, { status: 200, reason: "not JSON: <html>" });
    expect(failureLines(toFailure(failure, spoken), plain).join("\n")).toContain(
      "check that it is a Towpath control plane",
    );
  });

  test("does not repeat its only fault, and gives its suggestion once", () => {
    const fault = {
      path: "schedule",
      message: 'no schedule "nighty"',
      suggestion: 'did you mean "nightly"?',
    };
    const said = new Failure('Deployment "x" has no schedule "nighty"; did you mean "nightly"?', {
      exit: "notFound",
      faults: [fault],
    });
    expect(failureLines(said, plain)).toEqual([`✗ ${said.message}`]);
    const half = new Failure('Deployment "x" has no schedule "nighty".', {
      exit: "notFound",
      faults: [fault],
    });
    expect(failureLines(half, plain)).toEqual([`✗ ${half.message}`, '→ did you mean "nightly"?']);
  });

  test("shows each fault with its suggestion", () => {
    const faults = [
      {
        path: "parameters.islnd",
        message: 'unknown parameter "islnd"',
        suggestion: 'did you mean "island"?',
      },
      { path: "parameters.n", message: "Instance type is wrong." },
    ];
    const failure = new Failure("No.", { exit: "invalidInput", faults, next: ["`towpath doctor`"] });
    expect(failureLines(failure, plain)).toEqual([
      "✗ No.",
      '  unknown parameter "islnd"; did you mean "island"?',
      "  n: Instance type is wrong.",
      "→ `towpath doctor`",
    ]);
    expect(failureJson(failure)).toMatchObject({ error: { message: "No.", faults, exit: 65 } });
  });
});
