import { describe, expect, test } from "vitest";
import { entryText, pythonText } from "./entry-text.ts";
import { Entry } from "./spec.ts";

const lock = {
  kind: "lock",
  python: "3.12",
  requirements: ".towpath-lock/requirements.txt",
  digest: "1a2b3c4d".repeat(8),
} as const;
const python = { kind: "python", module: "flows/train.py", function: "train" } as const;

describe("A Python entrypoint", () => {
  test("has a module, a function and no environment of its own", () => {
    const entry = Entry.parse(python);
    expect(entry).toEqual(python);
    expect(entryText(entry)).toBe("flows/train.py → train");
    expect(pythonText(entry)).toBe("the worker's default interpreter");
  });

  test("may name a lock, whose lists are empty by default", () => {
    const entry = Entry.parse({ ...python, environment: lock });
    expect(entry).toEqual({ ...python, environment: { ...lock, indexes: [], build: [] } });
    expect(pythonText(entry)).toBe("3.12, lock 1a2b3c4d");
  });

  test("may allow pickle, and says so", () => {
    const entry = Entry.parse({ ...python, environment: lock, codecs: ["pickle"] });
    expect(entry).toMatchObject({ codecs: ["pickle"] });
    expect(pythonText(entry)).toBe("3.12, lock 1a2b3c4d, pickle allowed");
  });

  test("may have letters of any language in its function's name", () => {
    expect(Entry.safeParse({ ...python, function: "größe_1" }).success).toBe(true);
  });

  for (const [what, changed] of Object.entries({
    "a module outside of the code": { module: "../train.py" },
    "a function that is no name": { function: "a.b" },
    "a name that begins with a digit": { function: "1st" },
    "a full Python version": { environment: { ...lock, python: "3.12.1" } },
    "a short digest": { environment: { ...lock, digest: "1a2b" } },
    "requirements outside of the code": { environment: { ...lock, requirements: "/etc/passwd" } },
    "a package that is an option": { environment: { ...lock, build: ["--index-url"] } },
    "a codec that nobody knows": { codecs: ["marshal"] },
    "an interpreter by its path": { environment: { kind: "interpreter", name: "/usr/bin/python3" } },
  }))
    test(`is refused with ${what}`, () => {
      expect(Entry.safeParse({ ...python, ...changed }).success).toBe(false);
    });
});

test("A command may have an environment", () => {
  const command = { kind: "command", argv: ["python", "train.py"] } as const;
  expect(pythonText(Entry.parse(command))).toBe(null);
  const environment = { kind: "interpreter", name: "conda" } as const;
  expect(pythonText(Entry.parse({ ...command, environment }))).toBe("interpreter conda");
});
