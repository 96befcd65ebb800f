"""Kinds and calls of every real cluster that this one does not have: a request for one gets an error that says where it
is available.

They are in no discovery document, so for most of them kubectl itself reports "the server doesn't have a resource type".
Requests of clients that skip discovery end here.
"""

from __future__ import annotations

from kubeproc import embedder

KINDS = {  # by group
    "": (
        "componentstatuses",
        "limitranges",
        "persistentvolumes",
        "podtemplates",
        "replicationcontrollers",
        "resourcequotas",
    ),
    "apps": ("controllerrevisions", "daemonsets", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs",),
    "networking.k8s.io": ("ingressclasses", "ingresses", "networkpolicies"),
    "policy": ("poddisruptionbudgets",),
    "scheduling.k8s.io": ("priorityclasses",),
    "certificates.k8s.io": ("certificatesigningrequests",),
    "admissionregistration.k8s.io": ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "argoproj.io": ("cronworkflows", "workfloweventbindings", "workflowartifactgctasks", "workflowtasksets"),
}
CALLS = {  # subresources
    ("pods", "proxy"): "`kubectl port-forward` reaches a pod",
    ("services", "proxy"): "`kubectl port-forward service/NAME` reaches a Service",
    ("nodes", "proxy"): "",
}


def hint(group: str, rest: list[str]) -> str:
    """The error message for a path, given its group and rest, that names such a kind or subresource; otherwise
    empty."""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    if not rest:
        return ""
    qualified = f"{rest[0]}.{group}" if group else rest[0]
    if rest[0] in KINDS.get(group, ()):
        return embedder.unsupported(qualified)
    if not group and len(rest) > 2 and (why := CALLS.get((rest[0], rest[2]))) is not None:
        return embedder.unsupported(f"{qualified}/{rest[2]}", why)
    return ""
