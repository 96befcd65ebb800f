"""What TF_CONFIG says about this process: its part in the cluster, and the cluster's kind.

TFJob's operator sets it in every pod: `{"cluster": {"chief": ["host:port"], "worker": [...], "ps": [...]}, "task":
{"type": "worker", "index": 1}}`; a job of a single pod gets none. Parameter servers in the cluster mean
ParameterServerStrategy, workers without them MultiWorkerMirroredStrategy, and one machine alone neither.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from labkit.errors import LabError


@dataclass(frozen=True)
class Task:
    type: str = "chief"
    index: int = 0
    cluster: dict[str, list[str]] = field(default_factory=dict)

    @property
    def strategy(self) -> str:
        """One of `single`, `parameter-server`, `multi-worker`."""
        if self.cluster.get("ps"):
            return "parameter-server"
        return "multi-worker" if len(self.members) > 1 else "single"

    @property
    def members(self) -> list[tuple[str, int]]:
        """Those who compute, the chief first: (type, index)."""
        return [(kind, index) for kind in ("chief", "worker") for index in range(len(self.cluster.get(kind, [])))]

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the checkpoints, metrics and model: the chief, or worker 0 of a job without a chief."""
        return not self.members or (self.type, self.index) == self.members[0]

    @property
    def name(self) -> str:
        return f"{self.type}-{self.index}"


def read(text: str) -> Task:
    """The task that the text of TF_CONFIG describes; one machine for an empty text, `LabError` for a wrong one."""
    if not text.strip():
        return Task()
    hint = "TFJob's operator sets it; to train on one machine, unset it"
    try:
        config = json.loads(text)
        cluster = {kind.replace("master", "chief"): list(hosts) for kind, hosts in config["cluster"].items()}
        kind, index = config["task"]["type"].replace("master", "chief"), int(config["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"TF_CONFIG is not a cluster with a task: {error!r}", hint) from error
    unknown = set(cluster) - {"chief", "worker", "ps"}
    if unknown:
        raise LabError(f"TF_CONFIG has replicas of type {', '.join(sorted(unknown))}", "use chief, worker and ps")
    if not 0 <= index < len(cluster.get(kind, [])):
        raise LabError(f"TF_CONFIG's task {kind} {index} is not in its cluster", hint)
    if "ps" in cluster and not ("chief" in cluster and "worker" in cluster):
        raise LabError("a cluster with parameter servers needs a chief and a worker", "add the replicas to the TFJob")
    return Task(kind, index, cluster)
