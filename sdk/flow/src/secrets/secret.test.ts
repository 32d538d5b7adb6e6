import { afterEach, expect, test, vi } from "vitest";
import type { RecordDraft } from "../engine/records.ts";
import { localHost } from "../engine/run-here.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

test("a run without a worker warns once of a secret that is too short to be redacted, as a worker does", () => {
  const told: RecordDraft[] = [];
  const post = async (record: RecordDraft) => void told.push(record);
  const records = {
    post,
    postHeld: post,
    postStored: post,
    postLog: (record: RecordDraft) => void told.push(record),
  };
  const cancelled = new AbortController().signal;
  const host = localHost("body", { parameters: {}, records, cancelled });
  vi.stubEnv("TOWPATH_SECRET_PIN", "123");
  vi.stubEnv("TOWPATH_SECRET_MASKED", "*****");
  vi.stubEnv("TOWPATH_SECRET_PASSWORD", "1234");
  for (const name of ["pin", "pin", "masked", "password"]) expect(host.secret(name)).toHaveProperty("value");
  const short = /^The secret "pin" is shorter than 4 characters.*longer value\.$/;
  expect(told).toMatchObject([
    { type: "log", level: "warn", text: expect.stringMatching(short) },
    { type: "log", level: "warn", text: expect.stringMatching(/^The secret "masked" is/) },
  ]);
});
