"""Kinds and calls that every real cluster has and this one has not: whoever asks for one is told where it is.

They are in no discovery document, so kubectl says of most of them by itself that "the server doesn't have a resource
type"; what clients ask for without looking there first ends here.
"""

from __future__ import annotations

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
    """What to say of a path with that group and that rest, a kind's or a subresource's; empty where it is none of these."""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    if not rest:
        return ""
    qualified = f"{rest[0]}.{group}" if group else rest[0]
    if rest[0] in KINDS.get(group, ()):
        return _words(qualified, "")
    if not group and len(rest) > 2 and (why := CALLS.get((rest[0], rest[2]))) is not None:
        return _words(f"{qualified}/{rest[2]}", why)
    return ""


def _words(what: str, why: str) -> str:
    more = f" ({why})" if why else ""
    return f"{what}: not supported by the embedded cluster{more}; use `labkit up --engine kind`"
