"""Probes: readiness shows, liveness restarts, startup comes first."""

from __future__ import annotations

from clusters import Kube, container, phase

QUICK = {"periodSeconds": 1, "failureThreshold": 1}


def test_a_pod_is_ready_once_its_probe_says_so(kube: Kube):
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, **QUICK}
    kube.pod("p", ["sh", "-c", "sleep 1.2; touch /tmp/ready; sleep 60"], container={"readinessProbe": probe})
    pod = kube.running("p")
    assert not container(pod)["ready"]
    kube.until("p", lambda p: container(p).get("ready"))
    assert kube.events("p", "Unhealthy")[0].startswith("Readiness probe failed")


def test_a_container_whose_liveness_probe_fails_is_restarted(kube: Kube):
    probe = {"exec": {"command": ["test", "!", "-e", "/tmp/sick"]}, **QUICK}
    kube.pod("p", ["sh", "-c", "sleep 0.5; touch /tmp/sick; sleep 60"], restartPolicy="Always",
             container={"livenessProbe": probe})  # fmt: skip
    pod = kube.until("p", lambda p: container(p)["restartCount"] == 1)
    assert container(pod)["lastState"]["terminated"]["exitCode"] in (137, 143)
    assert kube.events("p", "Killing") == ["Container main failed liveness probe, will be restarted"]


def test_http_and_tcp_probes_reach_the_port(kube: Kube):
    server = 'exec python3 -m http.server --bind "${HOST:-0.0.0.0}" "${PORT:-80}"'
    port = {"ports": [{"containerPort": 80, "name": "http"}]}
    http = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
    tcp = {"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 30}
    kube.pod("p", ["sh", "-c", server], container={**port, "readinessProbe": http, "startupProbe": tcp})
    pod = kube.until("p", lambda p: container(p).get("ready"), 20)
    assert container(pod)["started"]
    missing = {"httpGet": {"path": "/missing", "port": 80}, **QUICK}
    kube.pod("q", ["sh", "-c", server], container={**port, "readinessProbe": missing, "startupProbe": tcp})
    kube.until("q", lambda p: container(p).get("started"), 20)
    assert kube.events("q", "Unhealthy")
    assert not container(kube.get("q"))["ready"]


def test_a_startup_probe_that_never_succeeds_ends_the_container(kube: Kube):
    kube.pod("p", ["sleep", "60"], container={"startupProbe": {"exec": {"command": ["false"]}, **QUICK}})
    assert phase(kube.ended("p")) == "Failed"
