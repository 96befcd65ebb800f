"""Constant folding: conditions of literals only."""

from __future__ import annotations

from kubeproc.argo.language.parser import Node
from kubeproc.argo.language.values import equal, type_name


def constant_truth(node: Node) -> bool | None:
    """The truth value of a node; None if it must be evaluated."""
    if node.kind == "constant":
        return node.value if isinstance(node.value, bool) else None
    if node.kind == "unary" and node.value in ("not", "!"):
        inside = constant_truth(node.parts[0])
        return None if inside is None else not inside
    if node.kind == "binary" and node.value == "==":
        left, right = node.parts
        if left.kind == right.kind == "constant" and type_name(left.value) == type_name(right.value) != "float64":
            return equal(left.value, right.value) if left.value is not None else None
    if node.kind == "binary" and node.value in ("and", "&&", "or", "||"):
        decides = node.value in ("or", "||")
        sides = [constant_truth(part) for part in node.parts]
        if decides in sides:
            return decides
        return None if None in sides else not decides
    return None
