/** What git should leave alone in a Python project. */
export const PYTHON_IGNORED: readonly string[] = [".venv/", "__pycache__/", ".towpath/", ".env"];

/** The pyproject.toml of a new Python project. It installs the flows' packages, and builds none of its own. */
export function pythonManifest(name: string): string {
  return `[project]
name = "${name}"
version = "0.1.0"
requires-python = ">=3.10"
dependencies = ["towpath"]
`;
}

/** The files of a new Python project beside pyproject.toml and .gitignore, by path. */
export function pythonFiles(name: string): Readonly<Record<string, string>> {
  return {
    "towpath_config.py": `from flows.hello import hello
from towpath.config import deployment, oci_layout, project

config = project(
    "${name}",
    pool="local",
    registry=oci_layout(".towpath/registry"),
    deployments=[
        deployment(hello),
    ],
)
`,
    "flows/hello.py": `from towpath import artifact, flow, log, task


@task(retries=2)
def greet(name: str) -> str:
    return f"Hello, {name}!"


@flow
def hello(name: str = "world") -> dict[str, str]:
    greeting = greet(name)
    log.info(greeting)
    artifact.markdown("greeting", f"**{greeting}**", title="Greeting")
    return {"greeting": greeting}


# \`python flows/hello.py name=Ada\` runs it right here, without any server.
if __name__ == "__main__":
    hello.run_main()
`,
    "tests/test_hello.py": `import unittest

from flows.hello import hello
from towpath.test import run_flow


class Hello(unittest.TestCase):
    def test_a_killed_run_greets_once(self) -> None:
        first = run_flow(hello, {"name": "Ada"}, kill_after="greet")
        second = first.resume()
        self.assertEqual(second.value, {"greeting": "Hello, Ada!"})
        self.assertEqual(second.executions["greet"], 1)
`,
  };
}
