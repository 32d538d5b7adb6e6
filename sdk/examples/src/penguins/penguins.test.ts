import { describe, expect, test } from "vitest";
import { locateDataFile } from "../data-file.ts";
import { classifyPenguins } from "./classify.ts";
import { PenguinsProblem, readPenguins } from "./penguins.ts";
import { summarisePenguins } from "./summarise.ts";

const path = locateDataFile({ name: "penguins.json" });

describe("reading penguins", () => {
  test("leaves out those that were not measured in full, and says how many", async () => {
    const colony = await readPenguins({ path });
    expect(colony.penguins).toHaveLength(342);
    expect(colony.incomplete).toBe(2);
  });

  test("keeps one island's, whatever its capitals", async () => {
    const { penguins } = await readPenguins({ path, island: "bisCOE" });
    expect(new Set(penguins.map((penguin) => penguin.island))).toEqual(new Set(["Biscoe"]));
  });

  test("names the islands there are when none fits", async () => {
    await expect(readPenguins({ path, island: "Biscuit" })).rejects.toThrow(
      'no penguin lives on "Biscuit"; the islands are Biscoe, Dream, Torgersen',
    );
  });

  test("refuses a missing file with a typed error", async () => {
    await expect(readPenguins({ path: `${path}.missing` })).rejects.toThrow(PenguinsProblem);
  });
});

describe("looking at penguins", () => {
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

  test("tells the species far better than by always saying the commonest", async () => {
    const result = classifyPenguins((await readPenguins({ path })).penguins);
    expect(result.species).toEqual(["Adelie", "Chinstrap", "Gentoo"]);
    expect(result.accuracy).toBeGreaterThan(0.95);
    expect(result.baseAccuracy).toBeLessThan(0.5);
  });

  test("never tells a penguin by itself: the only one of its species is told wrong", () => {
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
