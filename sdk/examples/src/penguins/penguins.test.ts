import { describe, expect, test } from "vitest";
import { locateDataFile } from "../data-file.ts";
import { classifyPenguins } from "./classify.ts";
import { PenguinsProblem, readPenguins } from "./penguins.ts";
import { summarisePenguins } from "./summarise.ts";

const path = locateDataFile({ name: "penguins.json" });

describe("reading penguins", () => {
  test("leaves out penguins without all measures, and counts them", async () => {
    const colony = await readPenguins({ path });
    expect(colony.penguins).toHaveLength(342);
    expect(colony.incomplete).toBe(2);
  });

  test("keeps the penguins of one island, without regard to case", async () => {
    const { penguins } = await readPenguins({ path, island: "bisCOE" });
    expect(new Set(penguins.map((penguin) => penguin.island))).toEqual(new Set(["Biscoe"]));
  });

  test("names the islands if none matches", async () => {
    await expect(readPenguins({ path, island: "Biscuit" })).rejects.toThrow(
      'no penguin lives on "Biscuit"; the islands are Biscoe, Dream, Torgersen',
    );
  });

  test("refuses a missing file with a typed error", async () => {
    await expect(readPenguins({ path: `${path}.missing` })).rejects.toThrow(PenguinsProblem);
  });
});

describe("analysing penguins", () => {
  test("summarises by island and species, in alphabetical order", async () => {
    const groups = summarisePenguins((await readPenguins({ path })).penguins);
    expect(groups.map((group) => `${group.island} ${group.species} ${group.penguins}`)).toEqual([
      "Biscoe Adelie 44",
      "Biscoe Gentoo 123",
      "Dream Adelie 56",
      "Dream Chinstrap 68",
      "Torgersen Adelie 51",
    ]);
    expect(groups[0]?.means["Beak Length (mm)"]).toBeCloseTo(38.975, 6);
  });

  test("predicts the species far better than the commonest species does", async () => {
    const result = classifyPenguins((await readPenguins({ path })).penguins);
    expect(result.species).toEqual(["Adelie", "Chinstrap", "Gentoo"]);
    expect(result.accuracy).toBeGreaterThan(0.95);
    expect(result.baseAccuracy).toBeLessThan(0.5);
  });

  test("never uses a penguin for its own prediction: the only one of its species is predicted wrongly", () => {
    const adelie = (beak: number) => ({
      species: "Adelie",
      island: "Dream",
      measures: [beak, 18, 190, 3_700],
    });
    const only = { species: "Gentoo", island: "Dream", measures: [60, 14, 230, 5_500] };
    const result = classifyPenguins([adelie(38), adelie(39), adelie(40), only]);
    expect(result.mistakes).toEqual([{ species: "Gentoo", told: "Adelie", penguins: 1 }]);
    expect(result.accuracy).toBe(0.75);
  });
});
