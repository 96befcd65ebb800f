"""A DAG: every task starts as soon as what it depends on has ended the way it wants.

Mechanism. Tasks are visited after their dependencies, each at most once a pass; one that has ended, or whose pod runs,
costs a look-up. A task is the child of the nodes its dependencies end in, so that the tree shows the graph. A loop is a
TaskGroup with the iterations as children. The DAG ends when every node that was begun has ended: as its target tasks
did, where a skipped one passes on what its branch came to.
"""

from __future__ import annotations

from collections import deque

from kubeproc.argo.language import depends, expressions, templating, when
from kubeproc.argo.templates import plan
from kubeproc.argo.templates.spec import Source
from kubeproc.argo.workflow import hooks, loops, step_or_task
from kubeproc.argo.workflow import scope as scopes
from kubeproc.argo.workflow.call import settled
from kubeproc.argo.workflow.nodes import completed, failed, fulfilled, is_hook
from kubeproc.argo.workflow.operation import DepthExceeded, Object, Operation, OperationError, TimedOut
from kubeproc.argo.workflow.scope import Scope
from kubeproc.argo.workflow.turn import ParallelismReached


def run(op: Operation, name: str, template: Object, home: Source, on_exit: bool) -> None:
    """Bring the tasks of the node called `name` forward."""
    dag = _Dag(op, name, template, home, on_exit)
    for task in dag.order:
        dag.visit(task)
    dag.finish_targets()
    phase = dag.phase()
    if phase == "Running":
        return
    if phase in ("Failed", "Error"):
        dag.join_ends()
        op.tree.mark(name, phase)
        return
    outputs = scopes.outputs_of(template, dag.whole_scope())
    if outputs:
        op.tree.set(op.tree.nodes[op.tree.id(name)], "outputs", outputs)
        scopes.publish(op, outputs)
    dag.join_ends()
    op.tree.mark(name, "Succeeded")


class _Dag:
    """One DAG in one pass."""

    def __init__(self, op: Operation, name: str, template: Object, home: Source, on_exit: bool) -> None:
        self.op, self.name, self.template, self.home, self.on_exit = op, name, template, home, on_exit
        self.boundary = op.tree.id(name)
        self.tasks: dict[str, Object] = {task["name"]: task for task in template["dag"]["tasks"]}
        planned = plan.of(template)
        self.needs, self.conditions = planned.needs, planned.conditions
        self.targets, self.order = planned.targets, planned.order
        self.open_exits = False  # whether an exit hook is still to end

    def node_name(self, task: str) -> str:
        return f"{self.name}.{task}"

    def node(self, task: str) -> Object | None:
        return self.op.tree.node(f"{self.name}.{task}")

    # -- one task ----------------------------------------------------------------------------------------------------

    def visit(self, name: str) -> None:
        """Start the task, bring it forward, or do nothing."""
        op, task, node = self.op, self.tasks[name], self.node(name)
        if node is not None and hooks.has_hooks(task) and not self._hooks(task, node):
            return
        if node is not None and (fulfilled(node) or (node["type"] != "TaskGroup" and settled(op, node))):
            return
        if node is None and (op.turn.spent or (self.conditions[name] and not self._may_start(name, task))):
            return
        try:
            scope = self.scope(name, plan.references(task))
            resolved, variables = self._resolve(task, scope)
            iterations = loops.iterations(resolved) if loops.expands(task) else None
            if iterations is not None and node is None:
                loops.Expansion(resolved, variables).check(iterations)
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
            children = self.op.tree.children(node)
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
        if self.op.tree.node(node_name) is not None:
            self.op.tree.mark(node_name, phase, message)
            return
        self.op.tree.start(node_name, "Skipped", task, self.home.label, self.boundary, phase, flag={}, message=message)
        self._connect(name, node_name)

    def _connect(self, name: str, node_name: str) -> None:
        """Draw the edges from what the task depends on."""
        if not self.needs[name]:
            self.op.tree.adopt(self.name, node_name)
        for needed in self.needs[name]:
            for end in self.op.tree.outbound(self.op.tree.id(self.node_name(needed))):
                self.op.tree.adopt(self.op.tree.nodes[end]["name"], node_name)

    def _resolve(self, task: Object, scope: Scope) -> tuple[Object, dict[str, str]]:
        """The task with its references substituted and its artifacts found, and the variables used."""
        variables = {**self.op.variables, **scope.parameters()}
        return step_or_task.resolved(task, variables, scope), variables

    def _start(self, name: str, task: Object, node_name: str, group: str = "") -> Object | None:
        """Run one task, or one iteration of a loop, unless its `when` says no."""
        op = self.op
        if op.tree.node(node_name) is None:
            try:
                proceeds, phase, message = when.holds(task.get("when") or ""), "Skipped", ""
            except when.ConditionError as error:
                proceeds, phase, message = False, "Error", str(error)
            if not proceeds:
                message = message or f"when '{task['when']}' evaluated false"
                op.tree.start(
                    node_name, "Skipped", task, self.home.label, self.boundary, phase, flag={}, message=message
                )
                self._attach(name, node_name, group)
                return op.tree.node(node_name)
        holder = {**task, "_kind": "tasks"}
        try:
            op.execute(op, node_name, holder, self.home, task.get("arguments"), self.boundary, on_exit=self.on_exit)
        except (ParallelismReached, DepthExceeded):
            pass
        except TimedOut as error:
            op.tree.mark(node_name, "Failed", str(error))
        except OperationError as error:
            op.tree.mark(node_name, "Error", f"task '{node_name}' errored: {error}")
        node = op.tree.node(node_name)
        if node is not None:
            self._attach(name, node_name, group)
            if completed(node) and hooks.has_hooks(task) and not group:
                self._hooks(task, node)
        return node

    def _attach(self, name: str, node_name: str, group: str) -> None:
        if group:
            self.op.tree.adopt(group, node_name)
        else:
            self._connect(name, node_name)

    def _loop(
        self, name: str, task: Object, resolved: Object, items: list[loops.Iteration], variables: dict[str, str]
    ) -> None:
        op, group = self.op, self.node_name(name)
        if not items:
            self._skip(name, task, "Skipped", "Skipped, empty params")
            return
        if op.tree.node(group) is None:
            op.tree.start(group, "TaskGroup", task, self.home.label, self.boundary, flag={})
            self._connect(name, group)
        expansion = loops.Expansion(resolved, variables)
        phase = "Succeeded"
        for item in items:
            node = op.tree.node(self.node_name(item.name))
            if node is None and op.turn.spent:
                phase = "Running"
                continue
            if node is None or not settled(op, node):
                try:
                    node = self._start(name, expansion.make(item), self.node_name(item.name), group)
                except OperationError as error:
                    op.tree.mark(group, "Error", str(error))
                    return
            done = node is not None and fulfilled(node)
            if done and node is not None and completed(node) and hooks.has_hooks(task):
                done = self._exit(task, node)
            if not done:
                phase = "Running"
            elif node is not None and failed(node) and phase != "Running":
                phase = node["phase"]
        if phase != "Running":
            op.tree.mark(group, phase)

    def _hooks(self, task: Object, node: Object) -> bool:
        """Run the task's hooks; whether they have ended."""
        scope = self._hook_scope(task, node)
        prefix = f"tasks.{task['name']}"
        try:
            done = hooks.run(self.op, scope, task.get("hooks"), node, self.boundary, self.home, prefix)
        except OperationError as error:
            self.op.tree.mark(node["name"], "Error", str(error))
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
            self.op.tree.mark(node["name"], "Error", str(error))
            return True
        self.open_exits = self.open_exits or not done
        return done

    def _hook_scope(self, task: Object, node: Object) -> Scope:
        scope = self.scope(task["name"])
        scope.values[f"tasks.{task['name']}.status"] = node["phase"]
        return scope

    # -- what tasks can refer to -------------------------------------------------------------------------------------

    def scope(self, name: str, named: set[str] | None = None) -> Scope:
        """What the task can refer to: its inputs and all tasks before it, or those of them that are `named`."""
        scope = Scope(self.template)
        scopes.add_outputs(scope, "workflow", self.op.status.get("outputs"))
        seen: set[str] = {name}
        waiting = deque(self.needs[name]) if named is None or named else deque()
        while waiting:
            ancestor = waiting.popleft()
            if ancestor in seen:
                continue
            seen.add(ancestor)
            node = self.node(ancestor)
            if node is None:
                raise OperationError(f"Ancestor task node {ancestor} not found")
            if named is None or ancestor in named:
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
            scopes.add_loop(self.op, scope, f"tasks.{name}", self.op.tree.children(node))
        else:
            scopes.add_node(self.op, scope, f"tasks.{name}", node)

    # -- the end -----------------------------------------------------------------------------------------------------

    def phase(self) -> str:
        """What the DAG has come to: Running until every node that was begun has ended."""
        op = self.op
        if op.shutdown and not self.open_exits:
            return "Failed"
        if any(node and not fulfilled(node) for node in map(self.node, self.order)):
            return "Running"  # as most passes find: no walk along all edges is needed to say so
        ends: dict[str, str] = {op.tree.id(self.node_name(target)): "" for target in self.targets}
        waiting = deque((child, "Succeeded") for child in op.tree.nodes[self.boundary].get("children") or ())
        seen = set(waiting)
        while waiting:
            id, branch = waiting.popleft()
            node = op.tree.nodes.get(id)
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
            end = ends[self.op.tree.id(self.node_name(target))]
            if not end:
                result = "Running"
                if not fail_fast:
                    break
            elif end in ("Failed", "Error"):
                if step_or_task.continues_on(self.tasks[target], end):
                    continue
                result = end
                if fail_fast:
                    break
        return result

    def join_ends(self) -> None:
        ids = [
            op_id for target in self.targets for op_id in self.op.tree.outbound(self.op.tree.id(self.node_name(target)))
        ]
        self.op.tree.set_outbound(self.name, ids)


def _after_retries(op: Operation, node: Object) -> list[str]:
    """What follows a retried task: the children of its attempts, and its own hooks."""
    found: list[str] = []
    for child in reversed(op.tree.children(node)):
        found += [child["id"]] if is_hook(child) else child.get("children") or []
    return found
