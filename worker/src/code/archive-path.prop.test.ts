import { posix } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkLinkTarget, parseEntryPath, quote } from "./archive-path.ts";
import { CodeError } from "./code-error.ts";
import { DEFAULT_CODE_LIMITS } from "./limits.ts";

const limits = DEFAULT_CODE_LIMITS;
/** Paths made of the parts that attacks use. */
const nastyPath = fc
  .array(fc.constantFrom("..", ".", "", "a", "b", "\\", "C:", "\0", "\n", "…", "~", "..a", "a..", "\uFFFD"), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) => parts.join("/"));
const goodComponent = fc.stringMatching(/^[A-Za-z0-9_@+ -][A-Za-z0-9._@+ -]{0,20}$/);

function accepted<T>(check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    expect(error).toBeInstanceOf(CodeError);
    return undefined;
  }
}

test("every accepted path stays below the root, also by the rules of another implementation", () => {
  fc.assert(
    fc.property(fc.oneof(nastyPath, fc.string(), fc.string({ unit: "binary" })), (path) => {
      const components = accepted(() => parseEntryPath(path, limits));
      if (!components) return;
      const resolved = posix.resolve("/root", path);
      expect(resolved === "/root" || resolved.startsWith("/root/")).toBe(true);
      expect(posix.join("/root", ...components)).toBe(resolved);
      for (const component of components) expect(component).not.toMatch(/^\.{0,2}$|[/\\\0]/);
    }),
    { numRuns: 2_000 },
  );
});

test("ordinary paths are accepted as they are", () => {
  fc.assert(
    fc.property(fc.array(goodComponent, { minLength: 1, maxLength: 8 }), (components) => {
      const path = components.join("/");
      expect(parseEntryPath(path, limits)).toEqual(components);
      expect(parseEntryPath(`./${path}/`, limits)).toEqual(components);
    }),
  );
  for (const root of [".", "./"]) expect(parseEntryPath(root, limits)).toEqual([]);
});

test("ambiguous paths and paths out of the tree are refused", () => {
  const unsafe = [
    "",
    "/",
    "/etc/passwd",
    "//x",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "a//b",
    "a/./b",
    "./../x",
    "././a",
    "a\\b",
    "..\\x",
    "C:/x",
    "c:x",
    "a\0b",
    "a\nb",
    "a\u0085b",
    "a\uFFFDb",
    "a//",
    "\ud800",
  ];
  for (const path of unsafe) {
    expect(() => parseEntryPath(path, limits), JSON.stringify(path)).toThrow(
      expect.objectContaining({ code: "unsafe-archive", kind: "refused", retryable: false }),
    );
  }
});

test("paths over the limits are too large", () => {
  const tooLarge = [
    "a/".repeat(33),
    "a".repeat(256),
    "é".repeat(128),
    `${"a/".repeat(20)}${"b".repeat(1_000)}`,
  ];
  for (const path of tooLarge) {
    expect(() => parseEntryPath(path, limits)).toThrow(expect.objectContaining({ code: "too-large" }));
  }
});

test("chains of accepted links never leave the tree", () => {
  const name = fc.constantFrom("a", "b", "c");
  const place = fc.array(name, { minLength: 1, maxLength: 4 });
  const target = fc.array(fc.oneof(name, fc.constantFrom("..", ".", "x")), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.array(fc.tuple(place, target), { maxLength: 8 }), place, (drawn, start) => {
      const links = new Map<string, string[]>();
      for (const [path, to] of drawn) {
        // As in a tree, a link never lies below a link.
        const covered = [...links.keys()].some(
          (link) => isBelow(path, link) || isBelow(link.split("/"), path.join("/")),
        );
        const ok = accepted(() => {
          checkLinkTarget(to.join("/"), { parent: path.slice(0, -1), limits });
          return true;
        });
        if (ok && !covered) links.set(path.join("/"), to);
      }
      expect(follow(links, start)).not.toBe("outside");
    }),
    { numRuns: 3_000 },
  );
});

function isBelow(path: readonly string[], other: string): boolean {
  return `${path.join("/")}/`.startsWith(`${other}/`);
}

/** Resolves a path like the kernel: one component at a time, and follows each link where it is met. */
function follow(links: ReadonlyMap<string, string[]>, start: readonly string[]): "inside" | "outside" {
  const todo = [...start];
  const at: string[] = [];
  for (let steps = 0; steps < 200 && todo.length > 0; steps += 1) {
    const step = todo.shift();
    if (step === "..") {
      if (at.length === 0) return "outside";
      at.pop();
    } else if (step !== undefined && step !== ".") {
      const target = links.get([...at, step].join("/"));
      if (target) todo.unshift(...target);
      else at.push(step);
    }
  }
  return "inside";
}

test("link targets that lead out or turn back are refused, others are not", () => {
  const check = (target: string, parent: string[] = ["d", "e"]) =>
    checkLinkTarget(target, { parent, limits });
  for (const target of ["../../x", "x/y", "..", "../..", "./x", "x/"]) check(target);
  for (const target of [
    "/etc/passwd",
    "../../../x",
    "../../..",
    "x/../y",
    "",
    "x//y",
    "a\\b",
    "x\0",
    "../x/../../y",
  ]) {
    expect(() => check(target), target).toThrow(expect.objectContaining({ code: "unsafe-archive" }));
  }
});

test("a quoted text is short and without control characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      expect(quote(text).length).toBeLessThan(600);
      expect(quote(text)).not.toMatch(/\p{C}/u);
    }),
  );
});
