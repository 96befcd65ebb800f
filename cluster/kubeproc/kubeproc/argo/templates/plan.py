"""The order of a DAG's tasks: computed once for all reconciles, since each one visits all tasks."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

from kubeproc.argo.language import depends
from kubeproc.store import dump, load

Object = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The dependencies of a DAG: for each task the names of its dependencies and the condition on them; the target
    tasks; and all tasks that the targets need, each after its dependencies."""

    needs: dict[str, list[str]]
    conditions: dict[str, str]
    targets: list[str]
    order: list[str]


def of(template: Object) -> Plan:
    """The plan of a template, cached for all reconciles."""
    dag = template["dag"]
    known = _recent.get(id(dag))
    if known and known[0] is dag:
        return known[1]
    fields = ("name", "depends", "dependencies", "continueOn")
    tasks = [{field: task[field] for field in fields if task.get(field)} for task in dag["tasks"]]
    plan = _plan(dump([dag.get("target"), tasks]))
    if len(_recent) >= KEPT:
        _recent.clear()
    _recent[id(dag)] = dag, plan
    return plan


KEPT = 64
_recent: dict[int, tuple[Object, Plan]] = {}  # by the id of the stored object, which is the same from pass to pass


@functools.lru_cache(maxsize=KEPT)
def _plan(text: bytes) -> Plan:
    wanted, listed = load(text)
    tasks: dict[str, Object] = {task["name"]: task for task in listed}
    logic = {name: depends.logic(task, tasks.get) for name, task in tasks.items()}
    needs = {name: [d for d in needed if d in tasks] for name, (needed, _) in logic.items()}
    if wanted:
        targets = [target for target in wanted.split(" ") if target in tasks]
    else:
        needed_by_others = {dependency for names in needs.values() for dependency in names}
        targets = sorted(name for name in tasks if name not in needed_by_others)
    conditions = {name: condition for name, (_, condition) in logic.items()}
    return Plan(needs, conditions, targets, _order(targets, needs))


def _order(targets: list[str], needs: dict[str, list[str]]) -> list[str]:
    """The tasks that the targets need, each after its dependencies."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    for target in targets:
        stack = [(target, iter(needs[target]))]
        while stack:
            task, rest = stack[-1]
            seen.add(task)
            following = next((d for d in rest if d not in seen), None)
            if following is not None:
                stack.append((following, iter(needs[following])))
            else:
                found.setdefault(task)
                stack.pop()
    return list(found)


_WORD, _NAMED = re.compile(r"\btasks\b"), re.compile(r"\btasks(?:\.|\[\\?[\"'])([A-Za-z0-9][A-Za-z0-9_-]*)")


def references(task: Object) -> set[str] | None:
    """The tasks that a task refers to; None if its text does not show them (`{{=toJson(tasks)}}`)."""
    text = json.dumps({k: v for k, v in task.items() if k != "name"}, ensure_ascii=False)
    named = _NAMED.findall(text)
    return set(named) if len(named) == len(_WORD.findall(text)) else None
