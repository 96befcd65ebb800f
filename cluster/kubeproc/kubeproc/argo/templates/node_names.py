"""Names that Argo generates: a node's id from its path, a pod's name from its template and its path.

Both carry the 32-bit FNV-1a hash of the node's name, so that the same workflow always generates the same names: objects
created before a restart are found by name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

GROUP = "workflows.argoproj.io"
WORKFLOW_LABEL = f"{GROUP}/workflow"
COMPLETED_LABEL = f"{GROUP}/completed"
PHASE_LABEL = f"{GROUP}/phase"
ON_EXIT_LABEL = f"{GROUP}/on-exit"
ACTION_LABEL = f"{GROUP}/action"
RESUBMITTED_LABEL = f"{GROUP}/resubmitted-from-workflow"
REPORTED_LABEL = f"{GROUP}/report-outputs-completed"
NODE_ID = f"{GROUP}/node-id"
NODE_NAME = f"{GROUP}/node-name"
POD_NAME_FORMAT = f"{GROUP}/pod-name-format"
POD_GC_STRATEGY = f"{GROUP}/pod-gc-strategy"
EXECUTOR_IMAGE = "quay.io/argoproj/argoexec:v3.7.9"

_LONGEST_PREFIX = 253 - 10 - 1
_LOOP = re.compile(r"\((\d+)(?::[^)]*)?\)$", re.DOTALL)


@lru_cache(maxsize=65536)
def fnv32a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def node_id(workflow: str, node: str) -> str:
    """The id of the node called `node`: the workflow's own name at the root, else `WORKFLOW-HASH`."""
    return workflow if node == workflow else f"{workflow}-{fnv32a(node)}"


def pod_name(workflow: str, node: str, template: str) -> str:
    """The pod's name (Argo's format v2): `WORKFLOW-TEMPLATE-HASH`, the workflow's own name at the root."""
    if workflow == node:
        return workflow
    prefix = f"{workflow}-{template}" if template else workflow
    return f"{prefix[:_LONGEST_PREFIX]}-{fnv32a(node)}"


def template_of(node: dict[str, Any]) -> str:
    """The name of the template that a node runs, behind a templateRef or not."""
    reference = node.get("templateRef")
    return reference["template"] if reference else node.get("templateName", "")


def loop_index(node: str) -> int:
    """The index of an expanded item: 3 for `step(3:item)` and `task(3)`; -1 for a name that is not one."""
    found = _LOOP.search(node)
    if found:
        return int(found[1])
    head = node.rsplit("(", 1)[-1].split(":", 1)[0]
    return int(head) if "(" in node and head.isdigit() else -1


def task_of(node: str) -> str:
    """The step's or task's own name within a node's name: `a` of `wf[0].a(1:x)(2)`."""
    opener, end = "", len(node)
    for i in range(len(node) - 1, -1, -1):
        char = node[i]
        if char == opener:
            opener = ""
        elif opener:
            continue
        elif char in ")]":
            opener = "(" if char == ")" else "["
        else:
            end = i + 1
            break
    return node[:end].rsplit(".", 1)[-1]
