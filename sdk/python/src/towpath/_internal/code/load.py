"""Loading the modules of a project by their paths."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType

from ..problem import TowpathError

UNNAMED = "_towpath_"
"""How the names of modules begin that no import statement can name."""


class ModuleNotThere(TowpathError):
    """The project has no file of this path."""

    code = "module-not-found"


def import_root(root: Path, path: str) -> Path:
    """The folder from which a module's full name counts: `src` if the file is in it and `src` is no package, else the root."""
    source = root / "src"
    is_inside = PurePosixPath(path).parts[:1] == ("src",) and len(PurePosixPath(path).parts) > 1
    return source if is_inside and not (source / "__init__.py").exists() else root


def module_name(root: Path, path: str) -> str | None:
    """The full name of a module: `flows.train` for flows/train.py. None if no import statement can name the file."""
    inside = (root / path).relative_to(import_root(root, path))
    parts = inside.with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return ".".join(parts) if inside.suffix == ".py" and all(part.isidentifier() for part in parts) else None


def load_module(root: Path, path: str) -> ModuleType:
    """Loads a module of the project once, under the name by which other modules import it.

    Puts its import root first on `sys.path`. Raises what the module raises.

    Raises:
        ModuleNotThere: there is no such file.
    """
    file = root / path
    if not file.is_file():
        raise ModuleNotThere(f"There is no file {path} in {root}.")
    for folder in (str(root), str(import_root(root, path))):
        if sys.path[:1] != [folder]:
            sys.path[:] = [folder, *(one for one in sys.path if one != folder)]
    name = module_name(root, path)
    if name is not None:
        loaded = importlib.import_module(name)
        if _is_of(loaded, file):
            return loaded
        # A package of the same name is found first, such as one of the standard library.
    return _load_file(name or _name_of(path), file)


def _is_of(module: ModuleType, file: Path) -> bool:
    found = getattr(module, "__file__", None)
    return found is not None and Path(found).resolve() == file.resolve()


def _name_of(path: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in path.removesuffix(".py"))


def _load_file(name: str, file: Path) -> ModuleType:
    unique = f"{UNNAMED}{name.replace('.', '_')}"
    known = sys.modules.get(unique)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(unique, file)
    if spec is None or spec.loader is None:
        raise ModuleNotThere(f"{file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module
