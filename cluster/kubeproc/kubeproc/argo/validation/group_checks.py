"""Checks of templates that call others: steps, tasks, their references, and cycles."""

from __future__ import annotations

from typing import Any

from kubeproc.argo.language import depends
from kubeproc.argo.templates import plan
from kubeproc.argo.templates.spec import Source
from kubeproc.argo.validation.name_checks import (
    ANY_ITEM,
    Invalid,
    Object,
    Scope,
    check_arguments,
    check_hooks,
    check_names,
    placeholder,
    wrong_name,
)
from kubeproc.argo.validation.template_checks import Checker


def _not_leaf(template: Object) -> None:
    if template.get("activeDeadlineSeconds") is not None:
        raise Invalid(f"templates.{template.get('name', '')}.activeDeadlineSeconds is only valid for leaf templates")


def _is_loop(step: Object) -> bool:
    return bool(step.get("withItems") or step.get("withParam"))


def _add_items(step: Object, scope: Scope) -> None:
    """Add the `item` tags that a loop defines for its step."""
    items, parameter, sequence = step.get("withItems"), step.get("withParam"), step.get("withSequence")
    if sum(map(bool, (items, parameter, sequence))) > 1:
        raise Invalid("only one of withItems, withParam, withSequence can be specified")
    for item in items or ():
        if isinstance(item, dict):
            scope |= {f"item.{key}": True for key in item}
        elif isinstance(item, list):
            scope |= {f"item.[{i}]": True for i in range(len(item))}
        scope["item"] = True
    if parameter:
        scope |= {"item": True, ANY_ITEM: True}
    if sequence:
        if sequence.get("count") is not None and sequence.get("end") is not None:
            raise Invalid("only one of count or end can be defined in withSequence")
        scope["item"] = True


def _with_inline(step: Object, scope: Scope) -> Scope:
    found = dict(scope)
    for parameter in ((step.get("inline") or {}).get("inputs") or {}).get("parameters") or ():
        found[f"inputs.parameters.{parameter['name']}"] = placeholder()
    return found


def _has_exit_hook(step: Object) -> bool:
    return bool(step.get("onExit") or "exit" in (step.get("hooks") or {}))


class _Prefixed:
    """Prefixes the messages of Invalid errors with a location."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, Invalid):
            raise Invalid(f"{self.prefix} {error}") from None


def steps(checker: Checker, scope: Scope, template: Object, home: Source) -> None:
    """Check the steps of a template, in order: each can refer to those before it."""
    _not_leaf(template)
    where = f"templates.{template.get('name', '')}.steps"
    names: set[str] = set()
    for i, group in enumerate(template["steps"]):
        if not isinstance(group, list):
            raise Invalid(f"{where}[{i}] is not a list of steps")
        for step in group:
            name = step.get("name") or ""
            if not name:
                raise Invalid(f"{where}[{i}].name is required")
            if name in names:
                raise Invalid(f"{where}[{i}].name '{name}' is not unique")
            if wrong_name(name):
                raise Invalid(f"{where}[{i}].name '{name}' is invalid: {wrong_name(name)}")
            names.add(name)
            _step(checker, scope, step, home, f"{where}[{i}].{name}", where)


def _step(checker: Checker, scope: Scope, step: Object, home: Source, place: str, where: str) -> None:
    prefix = f"steps.{step['name']}"
    scope[f"{prefix}.status"] = True
    with _Prefixed(place):
        _add_items(step, scope)
    check_arguments(f"{place}.arguments.", step.get("arguments"), may_be_empty=False)
    with _Prefixed(place):
        template = checker.holder(step, home, None)
    if _has_exit_hook(step):
        checker.add_outputs(template, prefix, scope, loop=False, before=False)
    check_hooks(step.get("hooks"), place)
    with _Prefixed(where):
        checker.resolve(_with_inline(step, scope), step)
    checker.add_outputs(template, prefix, scope, loop=_is_loop(step), before=False)
    with _Prefixed(place):
        checker.holder(step, home, step.get("arguments") or {})


def dag(checker: Checker, scope: Scope, template: Object, home: Source) -> None:
    """Check the tasks of a DAG: each can refer to those it depends on, directly or not."""
    _not_leaf(template)
    where = f"templates.{template.get('name', '')}"
    tasks: list[Object] = template["dag"].get("tasks") or []
    if not tasks:
        raise Invalid(f"{where} must have at least one task")
    by_name: dict[str, Object] = {task.get("name") or "": task for task in tasks}
    needs = {name: depends.logic(task, by_name.get)[0] for name, task in by_name.items()}
    tasks = _sorted(where, tasks, needs)
    check_names(tasks, f"{where}.tasks", of_values=False)
    uses_depends = any(task.get("depends") for task in tasks)
    templates: dict[str, Object | None] = {}
    for task in tasks:
        templates[task["name"]] = _task(checker, scope, task, home, where, uses_depends)
        _dependencies(task, by_name, needs, where)
    with _Prefixed(f"{where}.targets"):
        checker.resolve(scope, template["dag"].get("target") or "")
    for target in (template["dag"].get("target") or "").split(" "):
        if target and "{{" not in target and target not in by_name:
            raise Invalid(f"{where}.targets: target '{target}' is not defined")
    for task in tasks:
        _references(checker, scope, task, home, where, templates, by_name, needs)


def _sorted(where: str, tasks: list[Object], needs: dict[str, dict[str, bool]]) -> list[Object]:
    """The tasks in order of their dependencies; Invalid if there is a cycle."""
    names = [task.get("name") or "" for task in tasks]
    waiting = {name: {d for d in needs[name] if d in needs} for name in names}
    order: list[str] = []
    while waiting:
        ready = [name for name in waiting if not waiting[name]]
        if not ready:
            raise Invalid(f"{where} sorting failed: graph with cycle")
        for name in ready:
            del waiting[name]
            order.append(name)
        for left in waiting.values():
            left.difference_update(ready)
    position = {name: i for i, name in enumerate(order)}
    return sorted(tasks, key=lambda task: position[task.get("name") or ""])


def _task(checker: Checker, scope: Scope, task: Object, home: Source, where: str, uses_depends: bool) -> Object | None:
    name = task["name"]
    older = bool(task.get("dependencies"))
    if (uses_depends or older) and name[0].isdigit():
        raise Invalid(
            f"{where}.tasks.{name} name cannot begin with a digit when using either 'depends' or 'dependencies'"
        )
    if uses_depends and older:
        raise Invalid(f"{where} cannot use both 'depends' and 'dependencies' in the same DAG template")
    if uses_depends and task.get("continueOn"):
        why = "cannot use 'continueOn' when using 'depends'. Instead use 'dep-task.Failed'/'dep-task.Errored'"
        raise Invalid(f"{where} {why}")
    with _Prefixed(f"{where}.tasks.{name}"):
        template = checker.holder(task, home, None)
        checker.add_outputs(template, f"tasks.{name}", scope, loop=_is_loop(task), before=False)
        unknown = depends.unknown_result(task)
        if unknown:
            raise Invalid(unknown)
    return template


def _dependencies(task: Object, by_name: dict[str, Object], needs: dict[str, dict[str, bool]], where: str) -> None:
    for needed, of_items in needs[task["name"]].items():
        other = by_name.get(needed)
        if other is None:
            if task.get("dependencies"):
                raise Invalid(f"{where} sorting failed: invalid dependency {needed}")
            # Argo prints the name of the missing task, which is empty; hence the odd dots in its message.
            raise Invalid(f"{where}.tasks. dependency '{needed}' not defined")
        if of_items and not _is_loop(other) and not other.get("withSequence"):
            raise Invalid(
                f"{where}.tasks.{needed} dependency '{needed}' uses an items-based condition such as .AnySucceeded or "
                ".AllFailed but does not contain any items"
            )


def _ancestors(name: str, needs: dict[str, dict[str, bool]]) -> list[str]:
    found: dict[str, None] = {}
    waiting = list(needs[name])
    while waiting:
        task = waiting.pop()
        if task not in found:
            found[task] = None
            waiting += needs.get(task, {})
    return list(found)


def _references(
    checker: Checker,
    scope: Scope,
    task: Object,
    home: Source,
    where: str,
    templates: dict[str, Object | None],
    by_name: dict[str, Object],
    needs: dict[str, dict[str, bool]],
) -> None:
    name = task["name"]
    prefix, place = f"tasks.{name}", f"{where}.tasks.{name}"
    if task.get("hooks"):
        scope[f"{prefix}.status"] = True
    checker.add_outputs(templates[name], prefix, scope, loop=False, before=False)
    known = _with_inline(task, scope)
    named = plan.references(task)
    ancestors = _ancestors(name, needs) if named is None or named else []
    for ancestor in ancestors:
        if named is not None and ancestor not in named:
            continue
        loop = _is_loop(by_name[ancestor])
        checker.add_outputs(templates[ancestor], f"tasks.{ancestor}", known, loop=loop, before=True)
    with _Prefixed(place):
        _add_items(task, known)
        checker.resolve(known, task)
    check_arguments(f"{place}.arguments.", task.get("arguments"), may_be_empty=False)
    with _Prefixed(place):
        _missing_dependency(task, ancestors)
        checker.holder(task, home, task.get("arguments") or {})


def _missing_dependency(task: Object, ancestors: list[str]) -> None:
    given = task.get("arguments") or {}
    for kind, field in (("parameters", "value"), ("artifacts", "from")):
        for item in given.get(kind) or ():
            value = item.get(field)
            if isinstance(value, str) and value.startswith("{{tasks."):
                needed = value.split(".")[1]
                if needed not in ancestors:
                    raise Invalid(f"missing dependency '{needed}' for {kind[:-1]} '{item['name']}'")
