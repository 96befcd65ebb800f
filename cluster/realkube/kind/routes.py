"""Routes between the pods of several nodes, where the node image has no network plugin that sets them up.

kind's own images bring kindnet, and there is nothing to do. An image that was built without it has CNI's ptp plugin, with
the same range of addresses on every node: each node is given the range that Kubernetes set aside for it, a route to every
other node's, and the nodes' names. Docker forgets the last two when a container stops, so that this is done at every start.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from realkube import programs
from realkube.programs import Kube

CONFIG = "/etc/cni/net.d/10-ptp.conflist"
EARLIER = ("daemonset/kube-proxy", "deployment/coredns")  # what may have started without a way
LAY = f"""
set -e
sed 's#"subnet": "[^"]*"#"subnet": "'$1'"#' {CONFIG} >/tmp/cni
cmp -s /tmp/cni {CONFIG} || {{ cat /tmp/cni >{CONFIG}; echo changed; }}
shift
while [ $# -gt 0 ]; do
  ip route show $2 | grep -q "via $3 " || {{ ip route replace $2 via $3; echo changed; }}
  grep -q "^$3 $1$" /etc/hosts || {{
    grep -v " $1$" /etc/hosts >/tmp/hosts; echo "$3 $1" >>/tmp/hosts; cat /tmp/hosts >/etc/hosts; echo changed; }}
  shift 3
done
"""


def lay(kube: Kube, running: Collection[str]) -> bool:
    """Set up the routes on the running nodes; returns whether anything was missing."""
    nodes = [node for node in json.loads(kube("get", "nodes", "-o", "json"))["items"] if node["spec"].get("podCIDR")]
    plugins = kube("get", "daemonsets", "-n", "kube-system", "-o", "jsonpath={.items[*].metadata.name}").split()
    if len(nodes) < 2 or "kindnet" in plugins:
        return False
    ways = {node["metadata"]["name"]: (node["spec"]["podCIDR"], _address(node)) for node in nodes}
    changed = [name for name, (range_, _) in ways.items() if name in running and _lay(name, range_, ways)]
    if changed:
        kube("rollout", "restart", "-n", "kube-system", *EARLIER)
    return bool(changed)


def _lay(name: str, own: str, ways: dict[str, tuple[str, str]]) -> bool:
    others = [word for other, way in ways.items() if other != name for word in (other, *way)]
    command = [programs.docker(), "exec", name, "sh", "-c", LAY, "sh", own, *others]
    return "changed" in programs.run(command, timeout=60)


def _address(node: dict[str, Any]) -> str:
    return next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
