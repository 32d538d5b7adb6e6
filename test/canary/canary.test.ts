import { beforeAll, describe, expect, test } from "vitest";
import { SENT } from "./canaries.ts";
import { createScanner } from "./scan.ts";
import { leaveRemains, type Remains } from "./scene.ts";

/** A scene has dozens of steps, each with processes of its own, on a machine that may be busy. Each step has a limit. */
const SCENE_MS = 900_000;

const PLACES = ["dump", "files", "log", "wire", "notices"] as const;

/** The kinds whose canary is in a place, sorted. */
function found(
  { canaries, places }: Remains,
  place: (typeof PLACES)[number],
  forms?: readonly string[],
): string[] {
  const scanner = createScanner(canaries, forms);
  const kinds = new Set(places[place].flatMap((bytes) => [...scanner.kindsIn(bytes)]));
  return [...kinds].sort();
}

describe("a sealed workspace", () => {
  let remains: Remains;
  beforeAll(async () => {
    remains = await leaveRemains("sealed");
  }, SCENE_MS);

  test.for(PLACES)("shows no canary in its %s", (place) => {
    expect(found(remains, place)).toEqual([]);
  });
});

describe("a workspace that is not sealed", () => {
  let remains: Remains;
  beforeAll(async () => {
    remains = await leaveRemains("plain");
  }, SCENE_MS);

  test.for(["dump", "files", "wire"] as const)(
    "shows in its %s what DATA.md says is sent, and nothing else",
    (place) => {
      const sent = remains.languages.flatMap((language) => SENT.map((kind) => `${language}: ${kind}`));
      expect(found(remains, place)).toEqual(sent.sort());
    },
  );

  test("notifies of runs by their names, and of questions by their titles", () => {
    const named = ["parameter", "question's title"];
    const sent = remains.languages.flatMap((language) => named.map((kind) => `${language}: ${kind}`));
    expect(found(remains, "notices")).toEqual(sent.sort());
  });

  test("shows no canary in its log", () => {
    expect(found(remains, "log")).toEqual([]);
  });
});
