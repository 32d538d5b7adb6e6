"""Describes a project's flows to a deploy: `python -m towpath._internal.describe REQUEST ANSWER`.

Both arguments are JSON files, so that what modules print is never mixed with the answer. The answer is written last and whole.
A third file, beside the answer with the ending `.now`, names what is being loaded: a module may end or block this process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_PLACES_MAX = 3


def describe(request: Json, now: Path) -> Json:
    """The answer to a request.

    Args:
        request: `root`, the project's folder; `config`, the path of `towpath_config.py` or None; `flows`, a list of `module` and
            `function`; `imports`, whether flows may be imported.
        now: a file to write what is being loaded.
    """
    root = Path(request["root"])
    os.chdir(root)
    sys.path[0] = str(root)
    try:
        config = None if request["config"] is None else _config(root, request["config"], now)
        wanted = [*request["flows"], *_flows_of(config)] if request["imports"] else []
        # Each place once, in order.
        places = dict.fromkeys((one["module"], one["function"]) for one in wanted)
        return {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "config": config,
            "flows": [_flow(root, path, function, now) for path, function in places],
        }
    except _Failed as failed:
        return {"error": failed.data}


class _Failed(Exception):
    def __init__(self, code: str, message: str, next: list[str]) -> None:
        super().__init__(message)
        self.data = {"code": code, "message": message, "next": next}


def _load(root: Path, path: str, now: Path) -> Any:
    from .code.load import ModuleNotThere, load_module
    from .problem import InvalidDefinition, TowpathError

    now.write_text(path, encoding="utf-8")
    try:
        return load_module(root, path)
    except ModuleNotThere as error:
        raise _Failed("module-not-found", str(error), ["correct the path in the configuration"]) from None
    except (InvalidDefinition, TowpathError) as error:
        raise _Failed("bad-definition", f"{path}: {error}", _frames(error)) from None
    except SystemExit as error:
        raise _Failed(
            "module-exits",
            f"{path} ends the process when it is imported: sys.exit({error.code!r}).",
            [*_frames(error), 'put what the program does below `if __name__ == "__main__":`'],
        ) from None
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        raise _Failed(
            "package-missing",
            f'{path} needs the package "{top}", which {sys.executable} does not have.',
            [*_frames(error), "install it there, or deploy with --no-import and declared parameters"],
        ) from None
    except BaseException as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise _Failed("module-fails", f"{path} cannot be imported: {text}", _frames(error)) from None


def _frames(error: BaseException) -> list[str]:
    """Where in the project an error was raised, the innermost place first."""
    import traceback

    here = os.getcwd() + os.sep
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith(here)]
    places = [f"at {one.filename[len(here) :]}:{one.lineno} in {one.name}" for one in reversed(frames)]
    if isinstance(error, SyntaxError) and error.filename is not None:
        places.insert(0, f"at {error.filename.removeprefix(here)}:{error.lineno}: {(error.text or '').strip()}")
    return places[:_PLACES_MAX]


def _config(root: Path, path: str, now: Path) -> Json:
    from ..config import Project

    module = _load(root, path, now)
    found = [value for value in vars(module).values() if isinstance(value, Project)]
    if len(found) != 1:
        what = "has no project" if found == [] else "has several projects"
        raise _Failed("bad-config", f"{path} {what} at its top.", ["write one: `config = project(...)`"])
    return found[0].data()


def _flows_of(config: Json | None) -> list[Json]:
    """The flows of a configuration. A place without a colon is refused by the reader of the configuration."""
    settings = (config or {}).get("deployments", {}).values()
    places = [one["flow"].rpartition(":") for one in settings if "flow" in one]
    return [{"module": module, "function": function} for module, _, function in places if module]


def _flow(root: Path, path: str, function: str, now: Path) -> Json:
    module = _load(root, path, now)
    from .deploy.places import files_reached, flow_in
    from .deploy.task_versions import task_limits, task_versions
    from .problem import TowpathError

    try:
        flow = flow_in(module, path, function)
        parameters = flow.input.schema()
    except TowpathError as error:
        raise _Failed("bad-definition", str(error), []) from None
    except Exception as error:
        # A text annotation may name what is not there.
        raise _Failed(
            "bad-definition",
            f'flow "{function}" in {path}: its parameters cannot be read: {type(error).__name__}: {error}',
            ["correct the annotations of the function"],
        ) from None
    files = files_reached(root, path)
    code = flow.fn.__code__ if hasattr(flow.fn, "__code__") else None
    return {
        "module": path,
        "function": function,
        "name": flow.name,
        "parameters": parameters,
        "dueInput": flow.due_input is not None,
        "compute": flow.compute,
        "remoteTasks": _remote_tasks(root, path),
        "resources": [_resource(one) for one in _declared_resources()],
        "definedAt": None if code is None else {"file": code.co_filename, "line": code.co_firstlineno},
        "files": files,
        "tasks": task_versions(root.resolve(), files),
        "limits": task_limits(root.resolve(), files),
    }


def _declared_resources() -> list[Any]:
    # The import costs little, but most flows have no resources.
    if f"{__package__}.resources.resource" not in sys.modules:
        return []
    from .resources.resource import declared_resources

    return declared_resources()


def _resource(resource: Any) -> Json:
    """A resource: its settings in the code, and the schema that names them. No schema: those in the code name them."""
    from .input.convert import is_open, json_of, schema_of

    try:
        kind = resource.kind_of_settings()
        schema = None if is_open(kind) else schema_of(kind)
    except Exception:
        # An annotation that says nothing here. The run checks the settings.
        schema = {}
    return {"name": resource.name, "settings": json_of(resource.settings), "schema": schema}


def _remote_tasks(root: Path, path: str) -> Json:
    """The tasks that the project's modules call in other pools."""
    from .problem import InvalidDefinition
    from .remote.declared import remote_tasks

    try:
        return remote_tasks(root)
    except InvalidDefinition as error:
        raise _Failed("not-remote", f"{path}: {error}", []) from None


def load_ahead() -> None:
    """Imports what describing a project needs, before there is a request."""
    import faulthandler

    from .. import config
    from . import flow
    from .code import load
    from .deploy import places, task_versions
    from .input import convert
    from .remote import declared
    from .task import task


def main() -> None:
    """Answers one request, then ends the process: threads that a module started do not keep it."""
    import faulthandler

    # Absolute: a module may change the folder.
    request_file, answer_file = (Path(argument).resolve() for argument in sys.argv[1:3])
    request: Json = json.loads(request_file.read_text(encoding="utf-8"))
    # Written by a thread of its own that needs no interpreter lock: it also shows where native code blocks.
    faulthandler.dump_traceback_later(request["limitSeconds"], exit=True)
    answer = describe(request, Path(f"{answer_file}.now"))
    text = json.dumps(answer, ensure_ascii=True)
    Path(f"{answer_file}.part").write_text(text, encoding="utf-8")
    os.replace(f"{answer_file}.part", answer_file)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
