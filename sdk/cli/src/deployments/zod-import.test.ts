import { describe, expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { bundleModules } from "./bundle.ts";
import { importNamespace } from "./zod-import.ts";

describe("an import of zod's z", () => {
  test.each([
    ['import { z } from "zod";\nz.string();', 'import * as z from "zod";\nz.string();'],
    ["import {z} from 'zod'", "import * as z from 'zod'"],
    ['import z from "zod";', 'import * as z from "zod";'],
    ['import { z, ZodError } from "zod";', 'import * as z from "zod"; import { ZodError } from "zod";'],
    [
      'import { type ZodType, z } from "zod";',
      'import * as z from "zod"; import { type ZodType} from "zod";',
    ],
    ['import {\n  z,\n} from "zod";\nnext', 'import * as z from "zod"\n\n;\nnext'],
    [
      '#!/usr/bin/env node\n// A flow.\n/* import { z } from "zod" */\nimport a, { b } from "./a.ts";\nimport { z } from "zod";',
      '#!/usr/bin/env node\n// A flow.\n/* import { z } from "zod" */\nimport a, { b } from "./a.ts";\nimport * as z from "zod";',
    ],
  ])("%j becomes an import of the namespace", (source, expected) => {
    expect(importNamespace(source)).toBe(expected);
    expect(importNamespace(source).split("\n")).toHaveLength(source.split("\n").length);
  });

  test.each([
    'const text = `\nimport { z } from "zod";\n`;',
    'import { z } from "zod/mini";',
    'import { z as zod } from "zod";',
    'import type { z } from "zod";',
    'import { ZodError } from "zod";',
    'import "zod";',
    'const { z } = await import("zod");',
    "",
  ])("%j stays as it is", (source) => {
    expect(importNamespace(source)).toBe(source);
  });

  test("keeps unused parts of zod out of a bundle", async () => {
    const flow = (imported: string) =>
      `import ${imported} from "zod";\nexport const input = z.object({ n: z.number().default(2) });\nexport const fault: z.ZodError | undefined = input.safeParse({ n: "x" }).error;`;
    await using project = await folderWith({
      "one.ts": flow("{ z }"),
      "whole.ts": flow("{ z as zod }").replaceAll("z.", "zod."),
    });
    const sizeOf = async (module: string) => {
      const { files } = await bundleModules(project.root, [module]);
      return files.find(({ path }) => path.endsWith(".js"))?.bytes.length ?? 0;
    };
    expect(await sizeOf("one.ts")).toBeLessThan((await sizeOf("whole.ts")) / 3);
  });
});
