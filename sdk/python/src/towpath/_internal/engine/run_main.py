"""A flow as a program."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..console.answers import take_answers
from ..gateway.session import Session, address_from_environment
from ..problem import Fault, InvalidParameters, TowpathError
from ..process import refuse_in_child
from .describe_error import stack_of
from .run_here import run_shown
from .run_in_worker import run_attempt

if TYPE_CHECKING:
    from ..flow import Flow

_HELP = ("-h", "--help")
# As the command line of Towpath.
_CANCELLED = 2
_INVALID_INPUT = 65
_NEXT = "Fix the cause, and run it again. Here nothing is kept: on a worker, a rerun reuses completed tasks."


def run_main(flow: Flow[Any, Any]) -> None:
    """Runs a flow and exits: 0 if it completed, 1 if it failed, 2 if it was cancelled, 65 for wrong parameters."""
    refuse_in_child(flow.name)
    address = address_from_environment()
    if address is not None:
        end = run_attempt(flow, Session(address))
        sys.exit(0 if end.outcome == "completed" else 1)
    try:
        answers, argv = take_answers(flow.name, sys.argv[1:])
        if any(argument in _HELP for argument in argv):
            _print_help(flow)
            return
        parameters = parameters_from(flow, argv)
        flow.input.read(parameters)
    except (InvalidParameters, TowpathError) as error:
        sys.exit(_said(f"{error}\n  → {sys.argv[0]} --help lists the parameters.", _INVALID_INPUT))
    end = run_shown(flow, parameters, answers)
    if end.outcome == "cancelled":
        sys.exit(_CANCELLED)
    if end.outcome != "completed":
        sys.exit(1 if end.error is None else _said(f"{stack_of(end.error)}\n  → {_NEXT}", 1))


def parameters_from(flow: Flow[Any, Any], argv: list[str]) -> dict[str, Any]:
    """The parameters of a command line: `name=value`, `--name value` or `--name=value`. @raises InvalidParameters"""
    schema = flow.input.schema()["properties"]
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    left = list(argv)
    while left:
        argument = left.pop(0)
        name, sign, text = argument.lstrip("-").partition("=")
        name = name if name in schema else name.replace("-", "_")
        if not sign and argument.startswith("--"):
            is_flag = schema.get(name, {}).get("type") == "boolean" and (not left or left[0].startswith("--"))
            text, sign = ("true", "=") if is_flag else (left.pop(0) if left else "", "=")
        if not sign:
            faults.append(Fault(argument, "has no value", f"write {name}=VALUE"))
            continue
        found[name] = value_from(schema.get(name, {}), text)
    if faults:
        raise InvalidParameters(flow.name, faults)
    return found


def value_from(schema: Mapping[str, Any], text: str) -> Any:
    """A value from its text: text where the schema wants text, else JSON if it is JSON."""
    if schema.get("type") == "string":
        return text
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    number = float(text)
    if math.isfinite(number):
        return number
    raise ValueError(f"JSON has no number {text}")


def _print_help(flow: Flow[Any, Any]) -> None:
    print(f"{flow.name} takes these parameters, as name=value:")
    schema = flow.input.schema()
    for name, field in schema["properties"].items():
        kind = field.get("type") or ("one of " + ", ".join(map(str, field["enum"])) if "enum" in field else "JSON")
        default = f", default {json.dumps(field['default'])}" if "default" in field else ", required"
        print(f"  {name}: {kind}{default if name not in schema.get('required', ()) else ', required'}")
    print('Answers to questions of the flow: --answer "QUESTION=ANSWER"')


def _said(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
