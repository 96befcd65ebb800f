"""A DAG: every task starts as soon as what it depends on has ended the way it wants.

Mechanism. Tasks are visited after their dependencies, each at most once a pass; one that has ended, or whose pod runs,
costs a look-up. A task is the child of the nodes its dependencies end in, so that the tree shows the graph. A loop is a
TaskGroup with the iterations as children. The DAG ends when every node that was begun has ended: as its target tasks
did, where a skipped one passes on what its branch came to.
"""

from __future__ import annotations

from collections import deque

from labkit.embedded.argo import depends, execute, expressions, hooks, loops, templating, when
from labkit.embedded.argo import scope as scopes
from labkit.embedded.argo.operation import (
    DepthExceeded,
    Object,
    Operation,
    OperationError,
    ParallelismReached,
    TimedOut,
    completed,
    failed,
    fulfilled,
    is_hook,
)
from labkit.embedded.argo.scope import Scope
from labkit.embedded.argo.spec import Source
from labkit.embedded.argo.steps import continues_on


def run(op: Operation, name: str, template: Object, home: Source, on_exit: bool) -> None:
    """Bring the tasks of the node called `name` forward."""
    dag = _Dag(op, name, template, home, on_exit)
    for task in dag.order():
        dag.visit(task)
    dag.finish_targets()
    phase = dag.phase()
    if phase == "Running":
        return
    if phase in ("Failed", "Error"):
        dag.join_ends()
        op.mark(name, phase)
        return
    outputs = scopes.outputs_of(template, dag.whole_scope())
    if outputs:
        op.set(op.nodes[op.id(name)], "outputs", outputs)
        scopes.publish(op, outputs)
    dag.join_ends()
    op.mark(name, "Succeeded")


class _Dag:
    """One DAG in one pass."""

    def __init__(self, op: Operation, name: str, template: Object, home: Source, on_exit: bool) -> None:
        self.op, self.name, self.template, self.home, self.on_exit = op, name, template, home, on_exit
        self.boundary = op.id(name)
        self.tasks: dict[str, Object] = {task["name"]: task for task in template["dag"]["tasks"]}
        logic = {task: depends.logic(self.tasks[task], self.tasks.get) for task in self.tasks}
        self.needs = {task: [d for d in logic[task][0] if d in self.tasks] for task in logic}
        self.conditions = {task: logic[task][1] for task in logic}
        self.targets = self._targets()
        self.open_exits = False  # whether an exit hook is still to end

    def _targets(self) -> list[str]:
        wanted = self.template["dag"].get("target")
        if wanted:
            return [target for target in wanted.split(" ") if target in self.tasks]
        needed = {dependency for needs in self.needs.values() for dependency in needs}
        return sorted(task for task in self.tasks if task not in needed)

    def order(self) -> list[str]:
        """The tasks that the targets need, each after its dependencies."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        for target in self.targets:
            stack = [(target, iter(self.needs[target]))]
            while stack:
                task, rest = stack[-1]
                seen.add(task)
                following = next((d for d in rest if d not in seen), None)
                if following is not None:
                    stack.append((following, iter(self.needs[following])))
                else:
                    found.setdefault(task)
                    stack.pop()
        return list(found)

    def node_name(self, task: str) -> str:
        return f"{self.name}.{task}"

    def node(self, task: str) -> Object | None:
        return self.op.node(f"{self.name}.{task}")

    # -- one task ----------------------------------------------------------------------------------------------------

    def visit(self, name: str) -> None:
        """Start the task, bring it forward, or do nothing."""
        op, task, node = self.op, self.tasks[name], self.node(name)
        if node is not None and hooks.has_hooks(task) and not self._hooks(task, node):
            return
        if node is not None and (fulfilled(node) or (node["type"] != "TaskGroup" and execute.settled(op, node))):
            return
        if node is None and self.conditions[name] and not self._may_start(name, task):
            return
        try:
            scope = self.scope(name)
            resolved, variables = self._resolve(task, scope)
            iterations = loops.iterations(resolved) if loops.expands(task) else None
        except (OperationError, templating.TemplateError, when.ConditionError) as error:
            self._skip(name, task, "Error", str(error))
            return
        if iterations is None:
            self._start(name, resolved, self.node_name(name))
        else:
            self._loop(name, task, resolved, iterations, variables)

    def _may_start(self, name: str, task: Object) -> bool:
        """Whether all dependencies have ended as the task wants; one that never can is omitted."""
        results = {}
        for needed in self.needs[name]:
            node = self.node(needed)
            if node is None or not fulfilled(node):
                return False
            children = self.op.children(node)
            if any(is_hook(child) and not fulfilled(child) for child in children):
                return False
            results[needed] = depends.result_of(node, children)
        try:
            allowed = depends.allows(self.conditions[name], results)
        except expressions.ExpressionError as error:
            self._skip(name, task, "Error", str(error))
            return False
        if not allowed:
            self._skip(name, task, "Omitted", "omitted: depends condition not met")
        return allowed

    def _skip(self, name: str, task: Object, phase: str, message: str) -> None:
        node_name = self.node_name(name)
        if self.op.node(node_name) is not None:
            self.op.mark(node_name, phase, message)
            return
        self.op.start(node_name, "Skipped", task, self.home.label, self.boundary, phase, flag={}, message=message)
        self._connect(name, node_name)

    def _connect(self, name: str, node_name: str) -> None:
        """Draw the edges from what the task depends on."""
        if not self.needs[name]:
            self.op.adopt(self.name, node_name)
        for needed in self.needs[name]:
            for end in self.op.outbound(self.op.id(self.node_name(needed))):
                self.op.adopt(self.op.nodes[end]["name"], node_name)

    def _resolve(self, task: Object, scope: Scope) -> tuple[Object, dict[str, str]]:
        """The task with its references substituted and its artifacts found, and the variables used."""
        variables = {**self.op.variables, **scope.parameters()}
        resolved: Object = templating.replace(task, variables, unresolved=True)
        try:
            proceeds = when.holds(resolved.get("when") or "")
        except when.ConditionError:
            if not loops.expands(resolved):
                raise
            proceeds = True
        if proceeds and (resolved.get("arguments") or {}).get("artifacts"):
            resolved = resolved | {"arguments": scopes.resolve_artifacts(scope, resolved["arguments"])}
        return resolved, variables

    def _start(self, name: str, task: Object, node_name: str, group: str = "") -> Object | None:
        """Run one task, or one iteration of a loop, unless its `when` says no."""
        op = self.op
        if op.node(node_name) is None:
            try:
                proceeds, phase, message = when.holds(task.get("when") or ""), "Skipped", ""
            except when.ConditionError as error:
                proceeds, phase, message = False, "Error", str(error)
            if not proceeds:
                message = message or f"when '{task['when']}' evaluated false"
                op.start(node_name, "Skipped", task, self.home.label, self.boundary, phase, flag={}, message=message)
                self._attach(name, node_name, group)
                return op.node(node_name)
        holder = {**task, "_kind": "tasks"}
        try:
            execute.template(
                op, node_name, holder, self.home, task.get("arguments"), self.boundary, on_exit=self.on_exit
            )
        except (ParallelismReached, DepthExceeded):
            pass
        except TimedOut as error:
            op.mark(node_name, "Failed", str(error))
        except OperationError as error:
            op.mark(node_name, "Error", f"task '{node_name}' errored: {error}")
        node = op.node(node_name)
        if node is not None:
            self._attach(name, node_name, group)
            if completed(node) and hooks.has_hooks(task) and not group:
                self._hooks(task, node)
        return node

    def _attach(self, name: str, node_name: str, group: str) -> None:
        if group:
            self.op.adopt(group, node_name)
        else:
            self._connect(name, node_name)

    def _loop(
        self, name: str, task: Object, resolved: Object, items: list[loops.Iteration], variables: dict[str, str]
    ) -> None:
        op, group = self.op, self.node_name(name)
        if not items:
            self._skip(name, task, "Skipped", "Skipped, empty params")
            return
        if op.node(group) is None:
            op.start(group, "TaskGroup", task, self.home.label, self.boundary, flag={})
            self._connect(name, group)
        expansion = loops.Expansion(resolved, variables)
        phase = "Succeeded"
        for item in items:
            node = op.node(self.node_name(item.name))
            if node is None or not execute.settled(op, node):
                try:
                    node = self._start(name, expansion.make(item), self.node_name(item.name), group)
                except OperationError as error:
                    op.mark(group, "Error", str(error))
                    return
            done = node is not None and fulfilled(node)
            if done and node is not None and completed(node) and hooks.has_hooks(task):
                done = self._exit(task, node)
            if not done:
                phase = "Running"
            elif node is not None and failed(node) and phase != "Running":
                phase = node["phase"]
        if phase != "Running":
            op.mark(group, phase)

    def _hooks(self, task: Object, node: Object) -> bool:
        """Run the task's hooks; whether they have ended."""
        scope = self._hook_scope(task, node)
        prefix = f"tasks.{task['name']}"
        try:
            done = hooks.run(self.op, scope, task.get("hooks"), node, self.boundary, self.home, prefix)
        except OperationError as error:
            self.op.mark(node["name"], "Error", str(error))
            return False
        return (not completed(node) or self._exit(task, node)) and done

    def finish_targets(self) -> None:
        """Run the exit hooks of what ended in this pass and has nothing after it that would come back to it."""
        for target in self.targets:
            node = self.node(target)
            if node is not None and fulfilled(node) and hooks.has_hooks(self.tasks[target]):
                self._hooks(self.tasks[target], node)

    def _exit(self, task: Object, node: Object) -> bool:
        hook = hooks.exit_hook(task, self.op.spec.get("arguments"))
        scope = self._hook_scope(task, node)
        try:
            prefix = f"tasks.{task['name']}"
            done = hooks.run_exit(self.op, hook, node, self.boundary, self.home, prefix, scope)
        except OperationError as error:
            self.op.mark(node["name"], "Error", str(error))
            return True
        self.open_exits = self.open_exits or not done
        return done

    def _hook_scope(self, task: Object, node: Object) -> Scope:
        scope = self.scope(task["name"])
        scope.values[f"tasks.{task['name']}.status"] = node["phase"]
        return scope

    # -- what tasks can refer to -------------------------------------------------------------------------------------

    def scope(self, name: str) -> Scope:
        """What the task can refer to: its inputs and all tasks before it."""
        scope = Scope(self.template)
        scopes.add_outputs(scope, "workflow", self.op.status.get("outputs"))
        seen: set[str] = {name}
        waiting = deque(self.needs[name])
        while waiting:
            ancestor = waiting.popleft()
            if ancestor in seen:
                continue
            seen.add(ancestor)
            node = self.node(ancestor)
            if node is None:
                raise OperationError(f"Ancestor task node {ancestor} not found")
            self._add(scope, ancestor, node)
            waiting.extend(self.needs[ancestor])
        return scope

    def whole_scope(self) -> Scope:
        scope = Scope(self.template)
        for name in self.tasks:
            node = self.node(name)
            if node is not None:
                self._add(scope, name, node)
                if node["type"] == "TaskGroup":
                    scopes.add_node(self.op, scope, f"tasks.{name}", node)
        return scope

    def _add(self, scope: Scope, name: str, node: Object) -> None:
        if node["type"] == "TaskGroup":
            scopes.add_loop(self.op, scope, f"tasks.{name}", self.op.children(node))
        else:
            scopes.add_node(self.op, scope, f"tasks.{name}", node)

    # -- the end -----------------------------------------------------------------------------------------------------

    def phase(self) -> str:
        """What the DAG has come to: Running until every node that was begun has ended."""
        op = self.op
        if op.shutdown and not self.open_exits:
            return "Failed"
        ends: dict[str, str] = {op.id(self.node_name(target)): "" for target in self.targets}
        waiting = deque((child, "Succeeded") for child in op.nodes[self.boundary].get("children") or ())
        seen = set(waiting)
        while waiting:
            id, branch = waiting.popleft()
            node = op.nodes.get(id)
            if node is None or not fulfilled(node):
                return "Running"
            if completed(node):
                branch = node["phase"]
            if id in ends and ends[id] not in ("Failed", "Error"):
                ends[id] = branch
            following = _after_retries(op, node) if node["type"] == "Retry" else node.get("children") or ()
            for child in following:
                if (child, branch) not in seen:
                    seen.add((child, branch))
                    waiting.append((child, branch))
        return self._verdict(ends)

    def _verdict(self, ends: dict[str, str]) -> str:
        fail_fast = self.template["dag"].get("failFast") is not False
        result = "Succeeded"
        for target in self.targets:
            end = ends[self.op.id(self.node_name(target))]
            if not end:
                result = "Running"
                if not fail_fast:
                    break
            elif end in ("Failed", "Error"):
                if continues_on(self.tasks[target], end):
                    continue
                result = end
                if fail_fast:
                    break
        return result

    def join_ends(self) -> None:
        ids = [op_id for target in self.targets for op_id in self.op.outbound(self.op.id(self.node_name(target)))]
        self.op.set_outbound(self.name, ids)


def _after_retries(op: Operation, node: Object) -> list[str]:
    """What follows a retried task: the children of its attempts, and its own hooks."""
    found: list[str] = []
    for child in reversed(op.children(node)):
        found += [child["id"]] if is_hook(child) else child.get("children") or []
    return found
