"""`retryStrategy.affinity.nodeAntiAffinity`: an attempt stays away from the nodes on which earlier ones have failed.

Sources: workflow/controller/retry_tweak.go, workflow/util/retry of Argo 3.7.
"""

from __future__ import annotations

import copy
import re

from kubeproc.argo.workflow import retry
from kubeproc.argo.workflow.nodes import failed
from kubeproc.argo.workflow.operation import Object, Operation

LABEL = "kubernetes.io/hostname"
_ATTEMPT = re.compile(r"\(\d+\)$")  # an attempt has its retry node's name and this
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def avoid(op: Operation, node: Object, template: Object, around: Object, spec: Object) -> None:
    """Change the pod's spec for a pod node of `template`, or of one inside of the template `around`, that is tried again."""
    for attempt, of in ((node, template), (op.tree.nodes.get(node.get("boundaryID", "")), around)):
        parent = op.tree.node(_ATTEMPT.sub("", attempt["name"])) if attempt else None
        if parent is None or parent["type"] != "Retry":
            continue
        wanted = (retry.strategy(op, of) or {}).get("affinity") or {}
        hosts = _failed_on(op, parent["id"])
        if "nodeAntiAffinity" in wanted and hosts:
            _exclude(spec, hosts)
        return


def _failed_on(op: Operation, id: str) -> list[str]:
    """The hosts of the failed pods below a node, the latest first."""
    waiting, found = [id], list[str]()
    while waiting:
        node = op.tree.nodes.get(waiting.pop())
        if node is None:
            continue
        if node["type"] == "Pod" and failed(node):
            found.append(node.get("hostNodeName", ""))
        waiting.extend(node.get("children") or ())
    return list(dict.fromkeys(found))


def _exclude(spec: Object, hosts: list[str]) -> None:
    """Add the hosts to what the pod's node affinity excludes, in the place that Argo would choose."""
    rule = {"key": LABEL, "operator": "NotIn", "values": hosts}
    affinity = spec["affinity"] = copy.deepcopy(spec.get("affinity") or {})
    required = affinity.setdefault("nodeAffinity", {}).setdefault(REQUIRED, {})
    terms = required.setdefault("nodeSelectorTerms", [])
    for term in terms:
        rules = term.setdefault("matchExpressions", [])
        known = next((r for r in rules if (r["key"], r["operator"]) == (LABEL, "NotIn")), None)
        if known is not None:
            known["values"] = list(dict.fromkeys([*known["values"], *hosts]))
            return
        if not rules:
            rules.append(rule)
            return
    if terms:
        terms[0]["matchExpressions"].append(rule)
    else:
        terms.append({"matchExpressions": [rule]})
