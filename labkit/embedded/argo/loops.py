"""withItems, withParam and withSequence: one step or task becomes many, named `NAME(INDEX:ITEM)`.

Mechanism. The step's JSON text is made once and the item's values are pasted in for each iteration. An expansion is
named without being made: an iteration whose node has ended costs nothing but its name in later passes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.embedded.argo import gotext, templating, when
from labkit.embedded.argo.operation import Object, OperationError

_FORMAT = re.compile(r"%(?P<flags>[-+ 0#]*)(?P<width>\d*)(?:\.(?P<precision>\d+))?(?P<verb>[a-zA-Z%])")
LONGEST = 100_000  # items


@dataclass
class Iteration:
    """One item of a loop; `name` is the step's full name."""

    name: str
    index: int
    item: Any


def expands(step: Object) -> bool:
    return bool(step.get("withItems") or step.get("withParam") or step.get("withSequence"))


def iterations(step: Object) -> list[Iteration]:
    """The items of a step whose references are resolved; OperationError where they are no list."""
    return [Iteration(f"{step['name']}({i}:{_label(item)})", i, item) for i, item in enumerate(_items(step))]


def _items(step: Object) -> list[Any]:
    if step.get("withItems"):
        return list(step["withItems"])
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


def _parse(text: str) -> list[Any]:
    try:
        found = json.loads(text)
        if found is None:
            return []
        if not isinstance(found, list):
            raise ValueError("json: cannot unmarshal object into Go value of type []v1alpha1.Item")
    except ValueError as error:
        why = f"withParam value could not be parsed as a JSON list: {text.strip()}: {error}"
        raise OperationError(why) from None
    return found


def sequence(wanted: Object) -> list[str]:
    """The numbers of a withSequence as texts, counting down where the end is below the start."""
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
    return [_format(wanted.get("format") or "%d", number) for number in numbers]


def _whole(value: Any) -> int:
    text = gotext.text(value)
    if not re.fullmatch(r"[+-]?\d+", text):
        raise OperationError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _format(pattern: str, number: int) -> str:
    """Go's Sprintf of one integer."""

    def one(match: re.Match[str]) -> str:
        flags, verb = match["flags"], match["verb"]
        if verb == "%":
            return "%"
        if verb not in "dxXobvc":
            return f"%!{verb}(int={number})"
        kind = {"v": "d"}.get(verb, verb)
        sign = "+" if "+" in flags else " " if " " in flags else ""
        alternate = "#" if "#" in flags else ""
        width = min(int(match["width"] or 0), 200)
        if "-" in flags:
            return format(number, f"{sign}{alternate}{kind}").ljust(width)
        zero = "0" if "0" in flags and not match["precision"] else ""
        return format(number, f"{sign}{alternate}{zero}{width or ''}{kind}")

    result, found = _FORMAT.subn(one, pattern)
    return result if found else f"{pattern}%!(EXTRA int={number})"


def _label(item: Any) -> str:
    """The item as it stands in the node's name."""
    if isinstance(item, dict):
        text = ",".join(sorted(f"{k}:{_scalar(v)}" for k, v in item.items()))
    elif isinstance(item, list):
        text = "[" + " ".join(_scalar(v) for v in item) + "]"
    else:
        text = _scalar(item)
    return text.replace("(", "").replace(")", "")


def _scalar(value: Any) -> str:
    return (
        value
        if isinstance(value, str)
        else gotext.encode(value).replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")
    )


def _variables(item: Any) -> dict[str, str]:
    if isinstance(item, dict):
        return {f"item.{k}": _scalar(v) for k, v in item.items()} | {"item": gotext.encode(item)}
    if isinstance(item, list):
        return {"item": gotext.encode(item)}
    if item is None:
        raise OperationError("withItems expected string, number, list, or map. received: null")
    return {"item": _scalar(item)}


class Expansion:
    """A loop's step, ready to be made for any of its items."""

    def __init__(self, step: Object, variables: Mapping[str, str]) -> None:
        self.step = {k: v for k, v in step.items() if k not in ("withItems", "withParam", "withSequence")}
        self.variables = variables
        self.skipped = bool(step.get("when")) and _skipped(step)
        self._source = json.dumps(self.step, ensure_ascii=False, separators=(",", ":"))

    def make(self, iteration: Iteration) -> Object:
        """The step for one item; OperationError where a tag has no value."""
        values = {**self.variables, **_variables(iteration.item)}
        try:
            made: Object = json.loads(templating.replace_text(self._source, values, unresolved=self.skipped))
        except (templating.TemplateError, ValueError) as error:
            raise OperationError(str(error)) from None
        made["name"] = iteration.name
        if "template" in self.step:
            made["template"] = self.step["template"]
        return made
