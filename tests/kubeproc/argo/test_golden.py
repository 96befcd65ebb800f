"""Expressions, templates and loops against what Argo itself made of them (`golden/README.md`)."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubeproc.argo.language import expressions, formats, templating
from kubeproc.argo.workflow import loops, scope
from kubeproc.argo.workflow.operation import OperationError

GOLDEN = Path(__file__).with_name("golden")
RECORDED = datetime(2026, 11, 30, 11, tzinfo=UTC)  # the hour that Argo's answers show where they show the present


def rows(name: str) -> list[Any]:
    return [json.loads(line) for line in (GOLDEN / name).read_text().strip("\n").split("\n")]


def outcome(source: str, names: dict[str, Any]) -> str:
    try:
        value = expressions.evaluate(source, names)
        return "NIL" if value is None else f"OK {expressions.text(value)}"
    except expressions.ExpressionError as error:
        return f"ERR {error}"


def test_expressions_are_argos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: int(RECORDED.timestamp()) * 10**9)
    variables, *recorded = rows("expressions.jsonl")
    assert len(recorded) > 1500
    wrong = []
    for source, wanted in recorded:
        found = outcome(source, expressions.environment(variables))
        if found != wanted and not (wanted == "ERR" and found.startswith("ERR")):
            wrong.append((source, wanted, found))
    assert not wrong


def test_templates_are_argos() -> None:
    wrong = []
    for source, mode, variables, wanted in rows("templates.jsonl"):
        try:
            found = f"OK {templating.replace(source, variables, unresolved=mode == 'loose')}"
        except templating.TemplateError as error:
            found = f"ERR {error}"
        if found != wanted:
            wrong.append((source, mode, variables, wanted, found))
    assert not wrong


def expanded(step: dict[str, Any]) -> list[list[str]]:
    found = loops.iterations({"name": "s", **step})
    expansion = loops.Expansion({"name": "s", **step}, {})
    return [[item.name, expansion.make(item)["text"]] for item in found]


LOOPS = {
    "items": lambda given: expanded({"withParam": given["Param"], "text": given["Template"]}),
    "seq": lambda given: expanded({"withSequence": given, "text": "{{item}}"}),
    "agg": lambda given: f"[{','.join(scope.as_item(text) for text in given)}]",
    "params": scope.gathered,
    "printf": lambda given: formats.sprintf(given["F"], given["N"]),
}


@pytest.mark.parametrize("kind", LOOPS)
def test_loops_are_argos(kind: str) -> None:
    wrong = []
    for _, given, wanted in (row for row in rows("loops.jsonl") if row[0] == kind):
        try:
            found = LOOPS[kind](given)
        except OperationError as error:
            # The message for a withParam has the list before Go's words.
            found = wanted if str(wanted).startswith("ERR ") and wanted[4:] in str(error) else f"ERR {error}"
        if found != wanted:
            wrong.append((given, wanted, found))
    assert not wrong
