"""`workflows/queue.yaml` on any cluster: work is put into it, its server is killed, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.retry import Retry

from labkit import client
from realkube.programs import Kube

QUEUE = Path(__file__).parents[1] / "workflows" / "queue.yaml"


def keeps_its_work(kubeconfig: Path) -> None:
    """In the namespace of KUBECONFIG, which names the same file."""
    kube = Kube(kubeconfig)
    kube("apply", "-f", str(QUEUE))
    kube("rollout", "status", "deployment/queue", "--timeout=120s")
    queue = _connect()
    assert queue.lpush("work", *range(100)) == 100
    (pod,) = [name.partition("/")[2] for name in kube("get", "pods", "-l", "app=queue", "-o", "name").split()]
    client.kill(pod)
    kube("wait", f"pod/{pod}", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=60s")
    kube("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=60s")
    queue = _connect()
    assert [int(queue.rpop("work")) for _ in range(100)] == list(range(100))
    kube("delete", "-f", str(QUEUE))


def _connect() -> redis.Redis:
    host, _, port = client.address("queue").rpartition(":")
    patient = Retry(ExponentialBackoff(cap=1, base=0.05), 10)
    return redis.Redis(host, int(port), retry=patient, retry_on_error=[NoConnection])
