"""Runs a notebook on this machine: `python -m towpath.notebook train.ipynb key=value`."""

from __future__ import annotations

import sys
from pathlib import Path

from ._internal.notebook.declare import notebook, notebook_flow
from ._internal.problem import InvalidDefinition

_INVALID_INPUT = 65


def main() -> None:
    """Takes a notebook, and its parameters as `name=value`."""
    if len(sys.argv) < 2 or not sys.argv[1].endswith(".ipynb"):
        print("usage: python -m towpath.notebook NOTEBOOK.ipynb [name=value ...]", file=sys.stderr)
        sys.exit(_INVALID_INPUT)
    path = sys.argv.pop(1)
    sys.argv[0] = f"python -m towpath.notebook {path}"
    try:
        flow = notebook_flow(Path(path).resolve(), module=__name__, name=None, cell_timeout=None, options={})
    except InvalidDefinition as error:
        print(error, file=sys.stderr)
        sys.exit(_INVALID_INPUT)
    flow.run_main()


if __name__ == "__main__":
    main()
else:
    # The name `towpath.notebook` is the function, also after this module was imported.
    sys.modules[__name__] = notebook  # type: ignore[assignment]
