"""Steps: groups one after the other, the steps of a group side by side.

Mechanism. Node `NAME[i]` is a StepGroup; the steps of group i are its children, and the last nodes of group i have group
i+1 as their child. A step that has ended is not resolved or expanded again. A group fails when one of its steps did and
its `continueOn` does not let that pass; then the whole template fails.
"""

from __future__ import annotations

from kubeproc.argo.language import templating, when
from kubeproc.argo.templates.spec import Source
from kubeproc.argo.workflow import hooks, loops, step_or_task
from kubeproc.argo.workflow import scope as scopes
from kubeproc.argo.workflow.call import settled
from kubeproc.argo.workflow.nodes import completed, failed, fulfilled
from kubeproc.argo.workflow.operation import DepthExceeded, Object, Operation, OperationError, TimedOut
from kubeproc.argo.workflow.scope import Scope
from kubeproc.argo.workflow.turn import ParallelismReached


def run(op: Operation, name: str, template: Object, home: Source, on_exit: bool) -> None:
    """Bring the steps of the node called `name` forward."""
    node = op.tree.nodes[op.tree.id(name)]
    scope = Scope(template)
    scopes.add_outputs(scope, "workflow", op.status.get("outputs"))
    for i, steps in enumerate(template["steps"]):
        group = _group_node(op, name, i, node["id"], home)
        if not fulfilled(group):
            _Group(op, group, node["id"], scope, home, on_exit).run(steps)
        if not fulfilled(group):
            return
        if failed(group):
            _join_ends(op, name, i)
            op.tree.mark(name, "Failed", group.get("message", ""))
            return
        for step in steps:
            _add_to_scope(op, scope, group, step["name"])
    _join_ends(op, name, len(template["steps"]) - 1)
    outputs = scopes.outputs_of(template, scope)
    if outputs:
        op.tree.set(node, "outputs", outputs)
        scopes.publish(op, outputs)
    op.tree.mark(name, "Succeeded")


def _group_node(op: Operation, name: str, i: int, boundary: str, home: Source) -> Object:
    group_name = f"{name}[{i}]"
    group = op.tree.node(group_name)
    if group is not None:
        return group
    group = op.tree.start(group_name, "StepGroup", {}, home.label, boundary, flag={})
    if i == 0:
        op.tree.adopt(name, group_name)
        return group
    before = op.tree.nodes[op.tree.id(f"{name}[{i - 1}]")]
    if not before.get("children"):
        op.tree.adopt(before["name"], group_name)
    for child in before.get("children") or ():
        for end in op.tree.outbound(child):
            op.tree.adopt(op.tree.nodes[end]["name"], group_name)
    return group


def _join_ends(op: Operation, name: str, last: int) -> None:
    group = op.tree.nodes[op.tree.id(f"{name}[{last}]")] if last >= 0 else {}
    op.tree.set_outbound(name, [end for child in group.get("children") or () for end in op.tree.outbound(child)])


def _add_to_scope(op: Operation, scope: Scope, group: Object, step: str) -> None:
    node = op.tree.node(f"{group['name']}.{step}")
    if node is not None:
        scopes.add_node(op, scope, f"steps.{step}", node)
        return
    start = f"{group['name']}.{step}("
    loop = [n for n in op.tree.children(group) if n["name"].startswith(start) and n["type"] != "Skipped"]
    scopes.add_loop(op, scope, f"steps.{step}", loop)


class _Group:
    """The steps of one group, in one pass. `steps` collects which step each child node stands for."""

    def __init__(self, op: Operation, node: Object, boundary: str, scope: Scope, home: Source, on_exit: bool) -> None:
        self.op, self.node, self.boundary, self.scope, self.home = op, node, boundary, scope, home
        self.on_exit = on_exit
        self.variables = {**op.variables, **scope.parameters()}
        self.steps: dict[str, Object] = {}

    def run(self, steps: list[Object]) -> None:
        try:
            ready = [work for step in steps for work in self._planned(step)]
            for name, step in ready:
                self._step(name, step)
        except (OperationError, when.ConditionError) as error:
            self.op.tree.mark(self.node["name"], "Error", str(error))
        if not fulfilled(self.node):
            self._conclude()

    def _planned(self, step: Object) -> list[tuple[str, Object]]:
        """What is left to do for one step as written, or for each item of its loop: names of nodes, and steps. All of a
        group is resolved before any of it is started, so that a step that can't be makes no pod."""
        name = f"{self.node['name']}.{step['name']}"
        child = self.op.tree.node(name)
        if child is not None and not hooks.has_hooks(step) and settled(self.op, child):
            self.steps[name] = step
            return []
        resolved = self._resolve(step)
        if not loops.expands(resolved):
            return [(name, resolved)]
        expansion = loops.Expansion(resolved, self.variables)
        items = loops.iterations(resolved)
        if not items and child is None:
            self._skip(name, resolved, "Skipped", "Skipped, empty params")
        ready: list[tuple[str, Object]] = []
        for item in items:
            name = f"{self.node['name']}.{item.name}"
            child = self.op.tree.node(name)
            if child is None:
                rests = self.op.turn.spent
            else:
                rests = not hooks.has_hooks(step) and settled(self.op, child)
            if rests:
                self.steps[name] = step
            else:
                ready.append((name, expansion.make(item)))
        return ready

    def _resolve(self, step: Object) -> Object:
        """The step with its references substituted and its artifacts found."""
        try:
            return step_or_task.resolved(step, self.variables, self.scope)
        except (templating.TemplateError, when.ConditionError) as error:
            raise OperationError(f"Failed to resolve references: {error}") from None
        except OperationError as error:
            raise OperationError(f"Failed to resolve references: unable to resolve references: {error}") from None

    def _skip(self, name: str, step: Object, phase: str, message: str) -> None:
        if self.op.tree.node(name) is None:
            self.op.tree.start(name, "Skipped", step, self.home.label, self.boundary, phase, flag={}, message=message)
            self.op.tree.adopt(self.node["name"], name)

    def _step(self, name: str, step: Object) -> None:
        """Start one step, or bring it forward."""
        op = self.op
        self.steps[name] = step
        try:
            proceeds = when.holds(step.get("when") or "")
        except when.ConditionError as error:
            self._skip(name, step, "Error", str(error))
            raise
        if not proceeds:
            self._skip(name, step, "Skipped", f"when '{step['when']}' evaluated false")
            return
        holder = {**step, "_kind": "steps"}
        try:
            op.execute(op, name, holder, self.home, step.get("arguments"), self.boundary, on_exit=self.on_exit)
        except (ParallelismReached, DepthExceeded):
            pass
        except TimedOut as error:
            op.tree.adopt(self.node["name"], name)
            op.tree.mark(self.node["name"], "Failed", str(error))
            return
        except OperationError as error:
            op.tree.adopt(self.node["name"], name)
            raise OperationError(f"step group deemed errored due to child {name} error: {error}") from None
        if op.tree.node(name) is not None:
            op.tree.adopt(self.node["name"], name)

    def _conclude(self) -> None:
        """Run hooks, and end the group when nothing in it is left to do."""
        op = self.op
        children = op.tree.children(self.node)
        done = self._enough(children)
        for child in children:
            step = self.steps.get(child["name"], {})
            self.scope.values[f"steps.{child['displayName']}.status"] = child["phase"]
            if hooks.has_hooks(step):
                try:
                    done = self._hooks(step, child) and done
                except OperationError as error:
                    op.tree.mark(self.node["name"], "Error", str(error))
                    return
            done = done and fulfilled(child)
        if not done:
            return
        for child in children:
            if failed(child) and not step_or_task.continues_on(self.steps.get(child["name"], {}), child["phase"]):
                op.tree.mark(self.node["name"], "Failed", f"child '{child['id']}' failed")
                return
        op.tree.mark(self.node["name"], "Succeeded")

    def _enough(self, children: list[Object]) -> bool:
        """Whether every step has its node: one that had to wait for others has none yet."""
        return len(children) >= len(self.steps)

    def _hooks(self, step: Object, child: Object) -> bool:
        op, prefix = self.op, f"steps.{step['name']}"
        done = hooks.run(op, self.scope, step.get("hooks"), child, self.boundary, self.home, prefix)
        if not completed(child):
            return done
        hook = hooks.exit_hook(step, op.spec.get("arguments"))
        return hooks.run_exit(op, hook, child, self.boundary, self.home, prefix, self.scope) and done
