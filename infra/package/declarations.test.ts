import { expect, test } from "vitest";
import { publishedImports } from "./declarations.ts";
import { PackageFault } from "./fault.ts";

const PATH = "flow/src/engine/context.d.ts";

test("a declaration's imports lead to what is in the package", () => {
  const text = `import type { A } from "./scope.ts";
export { type B } from "../flow.ts";
import type { C } from "@towpath/contract/words";
import { z } from "zod";
import "./effect.ts";
declare const d: import("@towpath/contract").Ref;
`;
  expect(publishedImports(text, PATH)).toBe(`import type { A } from "./scope.js";
export { type B } from "../flow.js";
import type { C } from "../../../contract/src/words.js";
import { z } from "zod";
import "./effect.js";
declare const d: import("../../../contract/src/index.js").Ref;
`);
});

test("a room that is not published cannot be part of the SDK's types", () => {
  expect(() => publishedImports('import type { X } from "@towpath/dashboard";', PATH)).toThrow(PackageFault);
});
