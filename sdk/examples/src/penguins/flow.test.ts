import { testRun } from "towpath/test";
import { expect, test } from "vitest";
import { penguins } from "./flow.ts";

test("the flow summarises all penguins and tells nearly all species right", async () => {
  const run = await testRun(penguins);
  expect(run.result).toMatchObject({ penguins: 342, species: ["Adelie", "Chinstrap", "Gentoo"] });
  expect(run.result?.accuracy).toBeGreaterThan(0.95);
  expect(run.artifacts.get("groups")?.body).toMatchObject({ kind: "table", rows: { length: 5 } });
});

test("the flow keeps to one island, and says which there are when it is none", async () => {
  expect((await testRun(penguins, { island: "Torgersen" })).result).toMatchObject({ species: ["Adelie"] });
  const none = await testRun(penguins, { island: "Atlantis" });
  expect(none.error).toMatchObject({ message: expect.stringContaining("Biscoe, Dream, Torgersen") });
});
