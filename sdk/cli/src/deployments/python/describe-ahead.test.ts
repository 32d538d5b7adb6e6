import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { caught } from "../../fixture.ts";
import { describePython } from "./describe.ts";
import { describeAhead } from "./describe-ahead.ts";
import { hasPython, pythonProject } from "./project.fixture.ts";

/** Wide: starting a process takes long on a busy machine. */
const LIMIT = { timeout: 120_000 };
const ONE = {
  config: null,
  flows: [{ module: "flows/one.py", function: "one" }],
  imports: true,
};

/** A flow whose name says whether its process had waited: only then is its input a channel. */
const TELLING = `
import os
import stat
from towpath import flow

waited = stat.S_ISSOCK(os.fstat(0).st_mode) or stat.S_ISFIFO(os.fstat(0).st_mode)

@flow(name="waited" if waited else "started")
def one() -> None:
    pass
`;

test.skipIf(!hasPython)(
  "a Python that waits describes the files at the time of the request, once",
  LIMIT,
  async () => {
    await using folder = await pythonProject({ "flows/one.py": "raise RuntimeError('saved before')" });
    describeAhead(folder.root);
    await writeFile(join(folder.root, "flows/one.py"), TELLING);
    expect((await describePython(folder.root, ONE)).flows).toMatchObject([{ name: "waited" }]);
    expect((await describePython(folder.root, ONE)).flows).toMatchObject([{ name: "started" }]);
  },
);

test.skipIf(!hasPython)(
  "a module that fails in a Python that waited is named with its line",
  LIMIT,
  async () => {
    await using folder = await pythonProject({
      "flows/one.py": "print('said')\nraise RuntimeError('broken')",
    });
    describeAhead(folder.root);
    expect(await caught(describePython(folder.root, ONE))).toMatchObject({
      code: "module-fails",
      message: expect.stringContaining("broken"),
      next: [expect.stringContaining("flows/one.py:2")],
    });
    describeAhead(folder.root);
    await writeFile(join(folder.root, "flows/one.py"), "import os\nos.write(2, b'last words')\nos._exit(3)");
    expect(await caught(describePython(folder.root, ONE))).toMatchObject({
      code: "module-exits",
      next: expect.arrayContaining(["last words"]),
    });
  },
);

test.skipIf(!hasPython)(
  "a file of the project stands for no module of the standard library",
  LIMIT,
  async () => {
    await using folder = await pythonProject({ "flows/one.py": TELLING, "inspect.py": "raise RuntimeError" });
    describeAhead(folder.root);
    expect((await describePython(folder.root, ONE)).flows).toMatchObject([{ name: "waited" }]);
  },
);

test.skipIf(!hasPython)(
  "a Python that ended while it waited is replaced, as one of another path",
  LIMIT,
  async () => {
    await using folder = await pythonProject({ "flows/one.py": TELLING });
    const program = join(folder.root, ".venv/bin/python");
    await writeFile(program, "#!/bin/sh\nexit 1\n");
    describeAhead(folder.root);
    await writeFile(program, '#!/bin/sh\nexec python3 "$@"\n');
    expect((await describePython(folder.root, ONE)).flows).toHaveLength(1);

    await using other = await pythonProject({ "flows/one.py": TELLING });
    describeAhead(other.root);
    await rename(join(other.root, ".venv"), join(other.root, "venv"));
    expect((await describePython(other.root, ONE)).flows).toMatchObject([{ name: "started" }]);
  },
);
