"""withItems, withParam and withSequence: one step or task becomes many, named `NAME(INDEX:ITEM)`.

Mechanism. An item is a JSON text (`items`). The step's own JSON text is made once and the item's values are pasted in for
each iteration. An expansion is named without being made: an iteration whose node has ended costs nothing but its name in
later passes. The first time all of them are made before any is started, so that an item that can't be resolved makes no pod.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeproc.argo.language import formats, go_text, templating, when
from kubeproc.argo.language.digits import whole
from kubeproc.argo.language.quoting import quote
from kubeproc.argo.workflow import loop_items
from kubeproc.argo.workflow.operation import Object, OperationError

LONGEST = 100_000  # items


@dataclass
class Iteration:
    """One item of a loop, as JSON; `name` is the step's full name."""

    name: str
    index: int
    item: str


def expands(step: Object) -> bool:
    return bool(step.get("withItems") or step.get("withParam") or step.get("withSequence"))


def iterations(step: Object) -> list[Iteration]:
    """The items of a step whose references are resolved; OperationError where they are no list."""
    return [Iteration(f"{step['name']}({i}:{loop_items.label(item)})", i, item) for i, item in enumerate(_items(step))]


def _items(step: Object) -> list[str]:
    if step.get("withItems"):
        return [loop_items.of(item) for item in step["withItems"]]
    try:
        if step.get("withParam"):
            return _parse(step["withParam"])
        return sequence(step["withSequence"])
    except OperationError:
        if not _skipped(step):
            raise
        return []


def _skipped(step: Object) -> bool:
    try:
        return not when.holds(step.get("when") or "")
    except when.ConditionError:
        return False


_KINDS = {"{": "object", '"': "string", "t": "bool", "f": "bool"}


def _parse(text: str) -> list[str]:
    try:
        found = loop_items.checked(text)
        if found == "null":
            return []
        if found[0] != "[":
            kind = _KINDS.get(found[0], "number")
            raise loop_items.NotJSON(f"json: cannot unmarshal {kind} into Go value of type []v1alpha1.Item")
        return loop_items.members(found)
    except loop_items.NotJSON as error:
        why = f"withParam value could not be parsed as a JSON list: {text.strip()}: {error}"
        raise OperationError(why) from None


def sequence(wanted: Object) -> list[str]:
    """The numbers of a withSequence as items, counting down where the end is below the start."""
    start = _whole(wanted["start"]) if wanted.get("start") is not None else 0
    if wanted.get("end") is not None:
        end = _whole(wanted["end"])
    elif wanted.get("count") is not None:
        count = _whole(wanted["count"])
        if count == 0:
            return []
        end = start + count - 1
    else:
        raise OperationError("neither end nor count was specified in withSequence")
    if abs(end - start) >= LONGEST:
        raise OperationError(f"withSequence has more than {LONGEST} items")
    numbers = range(start, end + 1) if start <= end else range(start, end - 1, -1)
    pattern = wanted.get("format") or "%d"
    try:
        return [loop_items.checked(f'"{formats.sprintf(pattern, number)}"') for number in numbers]
    except loop_items.NotJSON as error:
        raise OperationError(str(error)) from None


def _whole(value: Any) -> int:
    text = go_text.text(value)
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise OperationError(f"strconv.Atoi: parsing {quote(text)}: invalid syntax")
    number = whole(text)
    if not -(2**63) <= number < 2**63:
        raise OperationError(f"strconv.Atoi: parsing {quote(text)}: value out of range")
    return number


class Expansion:
    """A loop's step, ready to be made for any of its items."""

    def __init__(self, step: Object, variables: Mapping[str, str]) -> None:
        self.step = {k: v for k, v in step.items() if k not in ("withItems", "withParam", "withSequence")}
        self.variables = variables
        self.skipped = bool(step.get("when")) and _skipped(step)
        self._source = json.dumps(self.step, ensure_ascii=False, separators=(",", ":"))

    def make(self, iteration: Iteration) -> Object:
        """The step for one item; OperationError where a tag has no value."""
        values = {**self.variables, **loop_items.variables(iteration.item)}
        try:
            made: Object = json.loads(templating.replace_text(self._source, values, unresolved=self.skipped))
        except (templating.TemplateError, ValueError) as error:
            raise OperationError(str(error)) from None
        made["name"] = iteration.name
        if "template" in self.step:
            made["template"] = self.step["template"]
        return made

    def check(self, iterations: list[Iteration]) -> None:
        """Make all of them, for OperationError where one can't be."""
        for iteration in iterations:
            self.make(iteration)
