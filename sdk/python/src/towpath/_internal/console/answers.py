"""Answers of a person at the terminal, or of the command line, to a run without a control plane."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from ..problem import Fault, InvalidParameters

_WORDS = {"y": True, "yes": True, "n": False, "no": False}


def take_answers(flow: str, argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Takes `--answer "QUESTION=ANSWER"` out of a command line. @raises InvalidParameters for another form"""
    answers: dict[str, str] = {}
    rest: list[str] = []
    left = list(argv)
    while left:
        argument = left.pop(0)
        if argument != "--answer" and not argument.startswith("--answer="):
            rest.append(argument)
            continue
        text = argument[len("--answer=") :] if "=" in argument[:9] else (left.pop(0) if left else "")
        question, sign, answer = text.partition("=")
        if not sign or not question:
            raise InvalidParameters(flow, [Fault("--answer", "is not an answer", 'write --answer "QUESTION=ANSWER"')])
        answers[question] = answer
    return answers, rest


def answer_of(schema: Mapping[str, Any], text: str) -> Any:
    """An answer from its text, by the schema of the question. @raises ValueError if it is not of this type"""
    kind, choices = schema.get("type"), schema.get("enum")
    if kind == "boolean":
        word = _WORDS.get(text.lower())
        if word is not None:
            return word
    if kind == "string":
        return text
    if choices is not None:
        for choice in choices:
            if str(choice) == text:
                return choice
        raise ValueError(text)
    return json.loads(text)


def hint_of(schema: Mapping[str, Any]) -> str:
    """How to write an answer."""
    if schema.get("type") == "boolean":
        return "yes or no"
    if schema.get("enum") is not None:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "object":
        return f"JSON with {', '.join(schema.get('properties', {}))}"
    return str(schema.get("type", "JSON"))


def ask_on_terminal(title: str, schema: Mapping[str, Any]) -> Any:
    """Asks until the answer is valid. None if the terminal is closed."""
    out = sys.__stdout__ or sys.stdout
    while True:
        out.write(f"? {title} ({hint_of(schema)}) ")
        out.flush()
        line = sys.stdin.readline()
        if line == "":
            return None
        try:
            return (answer_of(schema, line.strip()),)
        except ValueError:
            out.write(f"  Write {hint_of(schema)}.\n")


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and (sys.__stdout__ or sys.stdout).isatty()
