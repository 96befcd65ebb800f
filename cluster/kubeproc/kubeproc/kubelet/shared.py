"""What all nodes of a kubelet, and their pods, share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kubeproc.folder import ClusterFolder
from kubeproc.kubelet.account_tokens import AccountTokens
from kubeproc.kubelet.api_client import Api
from kubeproc.kubelet.background import Background
from kubeproc.kubelet.executor import Executor
from kubeproc.kubelet.pod_events import Recorder
from kubeproc.kubelet.volume_updates import VolumeUpdates
from kubeproc.network.client import Network
from kubeproc.runtime.runtime import Runtime


@dataclass(frozen=True)
class Shared:
    home: ClusterFolder
    api: Api
    runtime: Runtime
    executor: Executor
    events: Recorder
    tokens: AccountTokens
    updates: VolumeUpdates
    own_service: dict[str, Any]  # the Service `kubernetes`, which every container's environment names
    network: Network | None  # that of the pods; None where they share the host's
    background: Background = field(default_factory=Background)
