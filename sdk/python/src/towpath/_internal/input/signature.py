"""A flow's parameters, from its signature."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from ..problem import Fault, InvalidDefinition, InvalidParameters
from .convert import _nearest, convert, json_of, schema_of


class FlowInput:
    """The parameters of a flow's function: their schema, and how to read them."""

    def __init__(self, flow: str, fn: Callable[..., Any]) -> None:
        self._flow = flow
        self._fn = fn
        for name, parameter in inspect.signature(fn).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise InvalidDefinition(
                    f'flow "{flow}": parameter {name} cannot be given by name; write it without *, ** and /.'
                )

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """The type and default of each parameter, by name."""
        hints = typing.get_type_hints(self._fn, include_extras=True)
        return {
            name: (
                hints.get(name, Any),
                dataclasses.MISSING if parameter.default is parameter.empty else parameter.default,
            )
            for name, parameter in inspect.signature(self._fn).parameters.items()
        }

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameters. @raises InvalidDefinition naming the parameter without one."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        for name, (kind, default) in self.fields().items():
            try:
                properties[name] = schema_of(kind)
            except InvalidDefinition as error:
                raise InvalidDefinition(f'flow "{self._flow}": parameter {name}: {error}') from error
            if default is dataclasses.MISSING:
                required.append(name)
            else:
                properties[name]["default"] = json_of(default)
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**schema, "required": required} if required else schema

    def read(self, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
        """The arguments of a run. @raises InvalidParameters naming each field."""
        from ..store.plain_json import number_fault

        given = parameters or {}
        fields = self.fields()
        faults = [Fault(name, "is not a parameter", _nearest(name, fields)) for name in given if name not in fields]
        read: dict[str, Any] = {}
        for name, (kind, default) in fields.items():
            if name in given:
                fault = number_fault(given[name], name)
                if fault is not None:
                    faults.append(Fault(fault[0], f"must be a finite number, but is {fault[1]}", "pass null for none"))
                    continue
                read[name] = convert(kind, given[name], name, faults)
            elif default is dataclasses.MISSING:
                faults.append(Fault(name, "is missing"))
            else:
                read[name] = default
        if faults:
            raise InvalidParameters(self._flow, faults)
        return read
