import { expect, test } from "vitest";
import { adviceFor, OUTCOME_UNKNOWN } from "./causes.ts";

test("an attempt whose outcome is unknown is not called its worker's absence", () => {
  const unknown = adviceFor("lost", { name: OUTCOME_UNKNOWN });
  expect(unknown).toContain("Find out what the attempt did");
  expect(unknown).not.toBe(adviceFor("lost", null));
});

test("the cause alone decides where a flow throws an error of that name", () => {
  expect(adviceFor("error", { name: OUTCOME_UNKNOWN })).toBe(adviceFor("error", null));
  expect(adviceFor(null, { name: OUTCOME_UNKNOWN })).toBeNull();
});

test("nobody is sent to look for a signal that the worker itself sent", () => {
  expect(adviceFor("killed", { name: "Stopped" })).toContain("the worker itself stopped the process");
  expect(adviceFor("killed", { name: "ProcessEnded" })).toContain("it was not Towpath");
});

test("under `towpath dev`, a missing secret sends nobody to a worker's configuration", () => {
  const message =
    'The secret "token" has no value on this worker. Stop `towpath dev`, set the variable TOWPATH_SECRET_TOKEN, and start it again.';
  expect(adviceFor("refused", { name: "Refused", message })).toBe(
    "Do what the error says. Then run `towpath rerun RUN`.",
  );
  expect(adviceFor("refused", { name: "Refused", message: "other" })).toContain(
    "towpath doctor --config FILE",
  );
});

test.each([
  "ENOENT: no such file or directory, open '/srv/code/prices.csv'",
  "[Errno 2] No such file or directory: 'data/prices.csv'",
])("a missing file is explained by the data files that a deploy leaves out: %s", (message) => {
  expect(adviceFor("error", { name: "Error", message })).toContain("leaves out data files");
  expect(adviceFor("timeout", { name: "Error", message })).toBe(adviceFor("timeout", null));
});
