import { testRun } from "towpath/test";
import { expect, test } from "vitest";
import { penguins } from "./flow.ts";

test("the flow summarises all penguins and predicts nearly all species correctly", async () => {
  const run = await testRun(penguins);
  expect(run.result).toMatchObject({ penguins: 342, species: ["Adelie", "Chinstrap", "Gentoo"] });
  expect(run.result?.accuracy).toBeGreaterThan(0.95);
  expect(run.artifacts.get("groups")?.body).toMatchObject({ kind: "table", rows: { length: 5 } });
});

test("the flow can be limited to one island, and names the islands if there is no such island", async () => {
  expect((await testRun(penguins, { island: "Torgersen" })).result).toMatchObject({ species: ["Adelie"] });
  const none = await testRun(penguins, { island: "Atlantis" });
  expect(none.error).toMatchObject({ message: expect.stringContaining("Biscoe, Dream, Torgersen") });
});
