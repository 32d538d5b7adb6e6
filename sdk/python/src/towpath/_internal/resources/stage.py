"""The stage of the code in the current folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..problem import InvalidDefinition

STAGE_FILE = "towpath.stage.json"
"""The file with the stage of a deployment. It is pushed with the code, and never reaches the control plane."""


def _read_stage() -> Mapping[str, Any]:
    try:
        with open(STAGE_FILE, encoding="utf-8") as file:
            stage = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError:
        stage = None
    if not isinstance(stage, dict) or not isinstance(stage.get("resources"), dict):
        raise InvalidDefinition(f'{STAGE_FILE} does not contain {{ "stage": "…", "resources": {{ … }} }}.')
    return stage


def staged_settings(resource: str) -> Any:
    """The settings of a resource in the current folder's stage. None: it has none. @raises InvalidDefinition"""
    return _read_stage().get("resources", {}).get(resource)


def staged_pool(pool: str) -> str:
    """The pool of the current folder's stage for a pool that the code names. @raises InvalidDefinition"""
    return str(_read_stage().get("pools", {}).get(pool, pool))
