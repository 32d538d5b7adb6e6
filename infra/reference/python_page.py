"""Prints the reference page of the Python package from its docstrings. It imports none of the package.

Run it with `npm run reference`. The text is the same with every supported version of Python.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "sdk" / "python" / "src" / "towpath"
LINE_MAX = 100

#: The names of the package `towpath`, by section. Every public name stands in one.
SECTIONS = {
    "Flows and tasks": ["flow", "Flow", "task", "Task", "AsyncTask", "Cache", "exponential", "with_setup", "notebook"],
    "What calls of tasks return": ["Future", "Map", "AsyncFuture", "AsyncMap"],
    "In a run": ["log", "artifact", "keep", "kept", "save", "load", "Ref", "now", "random", "uuid", "secret", "is_cancelled", "run_facts", "Facts"],
    "Wait": ["suspend", "Job", "JobStatus"],
    "Other runs": ["run_child", "start_run", "get_run", "RunState", "Due"],
    "Resources": ["resource", "Resource", "AsyncResource", "from_secret"],
}
MODULES = {
    "config": "The configuration of a project",
    "test": "Tests",
    "dask": "Dask",
    "ray": "Ray",
    "mlflow": "MLflow",
}
#: What functions of the package return. These names are not imported from `towpath`.
RETURNED = {
    name: (PACKAGE / "_internal" / file, name)
    for name, file in {
        "Future": "task/future.py",
        "Map": "task/map.py",
        "AsyncFuture": "task/future.py",
        "AsyncMap": "task/async_map.py",
        "Facts": "engine/host.py",
    }.items()
}
#: Classes that people call themselves. The others are made by the package.
CALLED = {"with_setup"}
#: Classes whose fields are options: each has a text.
DESCRIBED = {"TaskOptions", "Cache", "Job", "Facts", "Due", "RunState"}
#: Methods that only the package calls.
HIDDEN = {"Flow.name_of", "Flow.hook_of", "Project.data", "Job.poll_every_ms", "Cache.parts", "Dask.open", "Ray.open"}
#: How a name is written, where its signature says less.
WRITTEN = {"flow": "@flow\n@flow(**options)", "task": "@task\n@task(**options)"}
INTRODUCTION = """# The Python package

Every public name of the package `towpath`, from the docstrings of its code. To begin, see [write a flow in Python](../how-to/python-flows.md).
Durations are text such as `"30s"`, a `timedelta`, or a number of seconds.
"""

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """A file of the package."""

    text: str
    tree: ast.Module

    def code(self, node: ast.AST) -> str:
        """The source of a node, on one line."""
        return re.sub(r"\s+", " ", ast.get_source_segment(self.text, node) or "").strip()

    def find(self, name: str) -> ast.AST | None:
        """The last definition of a name at the top of the file: overloads come before it."""
        found: ast.AST | None = None
        for node in self.tree.body:
            if isinstance(node, (*Function, ast.ClassDef)) and node.name == name:
                found = node
            elif isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
                found = node
        return found


def read(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(text, ast.parse(text))


def homes() -> dict[str, tuple[Path, str]]:
    """Where each public name of the package is defined: a file, and the name there."""
    found = {}
    for node in ast.walk(read(PACKAGE / "__init__.py").tree):
        if not isinstance(node, ast.ImportFrom) or node.module is None or not node.module.startswith("_internal"):
            continue
        place = PACKAGE / node.module.replace(".", "/")
        for one in node.names:
            # A package that has a module of this name gives the module.
            module = place / f"{one.name}.py"
            is_module = place.is_dir() and module.exists()
            found[one.name] = (module if is_module else place.with_suffix(".py"), "" if is_module else one.name)
    return found


def exported(source: Source) -> list[str]:
    """What a module names in `__all__`, in the order of its code."""
    listed = next(
        ast.literal_eval(node.value)
        for node in source.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    )
    order = [getattr(node, "name", "") for node in source.tree.body]
    return sorted((name for name in listed if name in order), key=order.index)


def arguments(source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The parameters of a function as they are written, without self."""
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(given.defaults)), *given.defaults]

    def one(arg: ast.arg, default: ast.expr | None, stars: str = "") -> str:
        kind = f": {source.code(arg.annotation)}" if arg.annotation else ""
        value = "" if default is None else f" = {source.code(default)}" if kind else f"={source.code(default)}"
        return f"{stars}{arg.arg}{kind}{value}"

    words = [one(arg, default) for arg, default in zip(plain, defaults)]
    if given.posonlyargs:
        words.insert(len(given.posonlyargs), "/")
    if given.vararg:
        words.append(one(given.vararg, None, "*"))
    elif given.kwonlyargs:
        words.append("*")
    words += [one(arg, default) for arg, default in zip(given.kwonlyargs, given.kw_defaults)]
    if given.kwarg:
        words.append(one(given.kwarg, None, "**"))
    return [word for word in words if not re.match(r"self\b|cls\b", word)]


def signature(source: Source, node: ast.AST, name: str) -> str:
    """How a function or class is called."""
    short = name.rsplit(".", 1)[-1]
    if short in WRITTEN and "." not in name:
        return WRITTEN[short]
    function = node
    if isinstance(node, ast.ClassDef):
        made = [one for one in node.body if isinstance(one, Function) and one.name == "__init__"]
        if not made or node.name not in CALLED:
            return f"class {name}"
        function = made[-1]
    assert isinstance(function, Function)
    words = arguments(source, function)
    gives = f" -> {source.code(function.returns)}" if function.returns and function is node else ""
    start = "async " if isinstance(function, ast.AsyncFunctionDef) else ""
    line = f"{start}{name}({', '.join(words)}){gives}"
    if len(line) <= LINE_MAX:
        return line
    return "\n".join([f"{start}{name}(", *[f"    {word}," if word not in ("/", "*") else f"    {word}," for word in words], f"){gives}"])


def described_fields(source: Source, node: ast.ClassDef) -> list[tuple[str, str, str, str]]:
    """Each public field: name, type, default and the text below it."""
    rows = []
    for field, below in zip(node.body, [*node.body[1:], None]):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name) or field.target.id.startswith("_"):
            continue
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        text = str(below.value.value) if is_text else ""
        if not text and node.name in DESCRIBED:
            sys.exit(f"{node.name}.{field.target.id} has no text below it")
        kind = f"`{source.code(field.annotation)}`"
        # The text says what None means.
        default = "" if field.value is None or source.code(field.value) == "None" else f"`{source.code(field.value)}`"
        rows.append((f"`{field.target.id}`", kind, default, " ".join(inspect.cleandoc(text).split())))
    return rows


def table(columns: list[str], rows: list[tuple[str, ...]]) -> str:
    def line(cells: list[str] | tuple[str, ...]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def fields_table(source: Source, node: ast.ClassDef, column: str) -> str:
    columns = [column, "type", "default", "meaning"]
    rows = described_fields(source, node)
    shown = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    return table([columns[index] for index in shown], [tuple(row[index] for index in shown) for row in rows])


def prose(text: str) -> str:
    """Paragraphs, each on a line."""
    lines = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    told = "\n\n".join(line for line in lines if line)
    told = re.sub(r"@raises (\w+)", r"Raises `\1`", told)
    return re.sub(r"(Raises `\w+`[^.]*)$", r"\1.", told)


def listed(text: str) -> str:
    """`name: text` with continued lines, as a list."""
    items: list[str] = []
    for line in inspect.cleandoc(text).split("\n"):
        if line.startswith((" ", "\t")) or not items:
            items[-1:] = [f"{items[-1]} {line.strip()}"] if items else [line]
        else:
            items.append(line)
    out = []
    for item in items:
        names, colon, rest = item.partition(":")
        told = ", ".join(f"`{name.strip()}`" for name in names.split(",")) if colon else item
        out.append(f"- {told}{colon}{rest}")
    return "\n".join(out)


HEADS = re.compile(r"^(Args|Returns|Raises|Example|Examples|Yields):[ ]*(.*)$", re.M)


def described(doc: str) -> str:
    """A docstring as Markdown."""
    parts = HEADS.split(inspect.cleandoc(doc))
    out = [prose(parts[0])]
    for head, rest, body in zip(parts[1::3], parts[2::3], parts[3::3]):
        text = f"{rest}\n{body}" if rest else body
        if head.startswith("Example"):
            out.append(f"```python\n{textwrap.dedent(text.strip(chr(10))).rstrip()}\n```")
        elif head in ("Args", "Raises") and not rest:
            title = "Parameters" if head == "Args" else head
            out.append(f"{title}:\n\n{listed(body.strip(chr(10)))}")
        else:
            out.append(f"{head}: {prose(text)}")
    return "\n\n".join(out)


def doc_of(node: ast.AST, name: str) -> str:
    doc = ast.get_docstring(node, clean=False) if isinstance(node, (*Function, ast.ClassDef)) else None
    if not doc:
        sys.exit(f"{name} has no docstring, so the reference has nothing to say about it")
    return doc


def methods(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public methods with a text, each once: overloads come before the one that counts."""
    last = {one.name: one for one in node.body if isinstance(one, Function) and not one.name.startswith("_")}
    return [one for one in last.values() if f"{node.name}.{one.name}" not in HIDDEN]


def entry(source: Source, node: ast.AST, name: str, level: str = "###") -> str:
    """One name: how it is called, its text, its fields and its methods."""
    out = [f"{level} `{name}`", f"```text\n{signature(source, node, name)}\n```", described(doc_of(node, name))]
    if isinstance(node, ast.ClassDef):
        if described_fields(source, node):
            out.append(fields_table(source, node, "field"))
        for one in methods(node):
            is_property = any(isinstance(mark, ast.Name) and mark.id == "property" for mark in one.decorator_list)
            called = one.name if is_property else signature(source, one, one.name)
            out.append(f"#### `{name}.{one.name}`")
            out.append(described(doc_of(one, one.name)) if is_property else f"```text\n{called}\n```\n\n{described(doc_of(one, one.name))}")
    return "\n\n".join(out)


def module_entry(source: Source, name: str) -> str:
    """A module whose functions are used through its name, such as `suspend.input`."""
    doc = ast.get_docstring(source.tree, clean=False) or ""
    last = {one.name: one for one in source.tree.body if isinstance(one, Function) and not one.name.startswith("_")}
    out = [f"### `{name}`", described(doc)]
    out += [entry(source, one, f"{name}.{one.name}", "####") for one in last.values()]
    return "\n\n".join(out)


def instance_entry(source: Source, node: ast.Assign, name: str) -> str:
    """An object with methods, such as `log`."""
    kind = source.code(node.value).split("(")[0]
    owner = source.find(kind)
    assert isinstance(owner, ast.ClassDef), name
    out = [f"### `{name}`", described(doc_of(owner, name))]
    for one in methods(owner):
        out.append(f"#### `{name}.{one.name}`\n\n```text\n{signature(source, one, f'{name}.{one.name}')}\n```\n\n{prose(doc_of(one, f'{name}.{one.name}'))}")
    return "\n\n".join(out)


def public(name: str, place: tuple[Path, str]) -> str:
    path, own = place
    source = read(path)
    if own == "":
        return module_entry(source, name)
    node = source.find(own)
    if isinstance(node, ast.Assign):
        return instance_entry(source, node, name)
    assert node is not None, name
    text = entry(source, node, name)
    if name == "task":
        options = read(PACKAGE / "_internal/task/options.py")
        owner = options.find("TaskOptions")
        assert isinstance(owner, ast.ClassDef)
        text += f"\n\nOptions of a task, and of `with_options`:\n\n{fields_table(options, owner, 'option')}"
    return text


def errors(names: list[str]) -> str:
    source = read(PACKAGE / "_internal/problem.py")
    rows = [(f"`{name}`", prose(doc_of(source.find(name) or source.tree, name)).replace("\n\n", " ")) for name in names]
    return table(["error", "when"], sorted(rows))


def main() -> None:
    places = {**homes(), **RETURNED}
    problems = [name for name, (path, _) in places.items() if path.name == "problem.py"]
    placed = [*problems, *(name for names in SECTIONS.values() for name in names)]
    missing = sorted(set(places) ^ set(placed))
    if missing:
        sys.exit(f"name these in SECTIONS of {Path(__file__).name}, or take them out: {', '.join(missing)}")
    out = [INTRODUCTION.strip()]
    for title, names in SECTIONS.items():
        out += [f"## {title}", *(public(name, places[name]) for name in names)]
    out += ["## Errors", "All are in `towpath`. Those that name a mistake say in their message what to do.", errors(problems)]
    for module, title in MODULES.items():
        source = read(PACKAGE / f"{module}.py")
        own = exported(source)
        out += [f"## {title}: `towpath.{module}`", described(ast.get_docstring(source.tree, clean=False) or "")]
        out += [entry(source, node, name) for name in own if (node := source.find(name)) is not None]
    print("\n\n".join(out))


main()
