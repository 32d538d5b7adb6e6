"""Tasks in processes of their own."""

from __future__ import annotations

from ..problem import InvalidDefinition


class _Here:
    is_child = False
    """Whether this process runs tasks for the process of a flow."""


HERE = _Here()


def refuse_in_child(flow: str) -> None:
    """@raises InvalidDefinition if a module that a task's process imports runs a flow"""
    if HERE.is_child:
        raise InvalidDefinition(
            f'The module of a task that runs in a process ran flow "{flow}" while it was imported. '
            'Put what the program does below `if __name__ == "__main__":`.'
        )
