"""Services, Endpoints, EndpointSlices, DNS and TF_CONFIG, where pods have a network of their own."""

from __future__ import annotations

from typing import Any

from ..lab import JSON_PATCH, Lab, Object
from ._make import container, deployment, pod, service

PYTHON = "labkit/lab:1"
SERVE = "import http.server; http.server.HTTPServer(('', {port}), http.server.SimpleHTTPRequestHandler).serve_forever()"
QUICK = {"periodSeconds": 1, "failureThreshold": 60}


def _server(name: str, port: int = 8080, *, labels: Object | None = None, port_name: str = "", **spec: Any) -> Object:
    """A pod that serves HTTP, and is ready when it does."""
    declared = {"containerPort": port} | ({"name": port_name} if port_name else {})
    main = {
        "image": PYTHON,
        "command": ["python3", "-c", SERVE.format(port=port)],
        "ports": [declared],
        "readinessProbe": {"tcpSocket": {"port": port}, **QUICK},
    }
    return pod(name, metadata={"labels": labels or {"app": "web"}}, main=main, **spec)


def _idle(name: str, *ports: Object, ready: bool = True, **spec: Any) -> Object:
    """A pod that only declares ports; it is never ready unless `ready`."""
    probe = {} if ready else {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}
    main = {"ports": list(ports or [{"containerPort": 8080}])} | probe
    return pod(name, "sleep 1000", metadata={"labels": {"app": "web"}}, main=main, **spec)


def _ask(lab: Lab, program: str, name: str = "ask", **spec: Any) -> Any:
    """What a Python program prints in a pod of its own."""
    lab.create(pod(name, main={"image": PYTHON, "command": ["python3", "-c", program]}, **spec))
    found = lab.ended(name, 120)
    return {"phase": found["status"]["phase"], "said": lab.log(name)}


def _ready(lab: Lab, *names: str) -> None:
    for name in names:
        lab.condition("pods", name, "Ready", seconds=120)


def _addresses(endpoints: Object, kind: str = "addresses") -> int:
    return sum(len(s.get(kind) or ()) for s in endpoints.get("subsets") or ())


def _seen(lab: Lab, count: int, name: str = "web", kind: str = "addresses") -> Any:
    """Endpoints and slices of a Service, once they have so many addresses; pods in the order of their names."""
    found = lab.until("endpoints", name, lambda e: _addresses(e, kind) == count)

    def by_pod(address: Object) -> str:
        return str((address.get("targetRef") or {}).get("name"))

    subsets = found.get("subsets") or []
    for subset in subsets:
        for each in ("addresses", "notReadyAddresses"):
            if each in subset:
                subset[each].sort(key=by_pod)
        subset.get("ports", []).sort(key=lambda port: port["port"])
    slices = []
    for each in lab.items("endpointslices", f"kubernetes.io/service-name={name}"):
        endpoints = sorted(each["endpoints"], key=by_pod)
        ports = sorted(each["ports"] or [], key=lambda port: port["port"])
        slices.append({"endpoints": endpoints, "ports": ports, "type": each["addressType"]})
    return {
        "subsets": lab.view(sorted(subsets, key=lambda s: by_pod((s.get("addresses") or s["notReadyAddresses"])[0]))),
        "slices": lab.view(sorted(slices, key=lambda found: [by_pod(e) for e in found["endpoints"]])),
    }


# -- endpoints ---------------------------------------------------------------------------------------------------------


def two_pods_with_the_same_port(lab: Lab) -> Any:
    lab.create(service(), _idle("a"), _idle("b"))
    _ready(lab, "a", "b")
    return _seen(lab, 2)


def two_pods_with_different_numbers_of_a_named_port(lab: Lab) -> Any:
    lab.create(service(ports=[{"port": 80, "targetPort": "web"}]))
    lab.create(_idle("a", {"containerPort": 8080, "name": "web"}), _idle("b", {"containerPort": 9090, "name": "web"}))
    _ready(lab, "a", "b")
    return _seen(lab, 2)


def several_ports(lab: Lab) -> Any:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "side", "port": 81, "targetPort": "side"}]
    lab.create(service(ports=ports), _idle("a", {"containerPort": 8080}, {"containerPort": 7070, "name": "side"}))
    _ready(lab, "a")
    return _seen(lab, 1)


def a_port_that_no_container_declares(lab: Lab) -> Any:
    lab.create(service(ports=[{"port": 80, "targetPort": 1234}]), _idle("a"))
    _ready(lab, "a")
    return _seen(lab, 1)


def a_named_port_that_only_one_pod_has(lab: Lab) -> Any:
    lab.create(service(ports=[{"port": 80, "targetPort": "web"}]))
    lab.create(_idle("a", {"containerPort": 8080, "name": "web"}), _idle("b", {"containerPort": 9090, "name": "other"}))
    _ready(lab, "a", "b")
    return _seen(lab, 1)


def ready_and_unready_pods(lab: Lab) -> Any:
    lab.create(service(), _idle("a"), _idle("b", ready=False))
    _ready(lab, "a")
    return _seen(lab, 1, kind="notReadyAddresses")


def unready_pods_are_published_on_request(lab: Lab) -> Any:
    lab.create(service(publishNotReadyAddresses=True), _idle("a", ready=False))
    return _seen(lab, 1)


def a_headless_service(lab: Lab) -> Any:
    lab.create(service(clusterIP="None"), _idle("a"), _idle("b"))
    _ready(lab, "a", "b")
    return _seen(lab, 2) | {"labels": lab.view(lab.get("endpoints/web")["metadata"].get("labels"))}


def a_headless_service_without_ports(lab: Lab) -> Any:
    made = service(clusterIP="None")
    del made["spec"]["ports"]
    lab.create(made, _idle("a"))
    _ready(lab, "a")
    return _seen(lab, 1)


def pods_with_a_hostname_of_the_service(lab: Lab) -> Any:
    lab.create(service(clusterIP="None"), _idle("a", hostname="first", subdomain="web"), _idle("b", subdomain="other"))
    _ready(lab, "a", "b")
    return _seen(lab, 2)


def another_target_port(lab: Lab) -> Any:
    lab.create(service(), _idle("a", {"containerPort": 8080}, {"containerPort": 9090}))
    _ready(lab, "a")
    before = _seen(lab, 1)
    lab.patch("services/web", [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9090}], JSON_PATCH)
    lab.until("endpoints", "web", lambda e: e["subsets"][0]["ports"][0]["port"] == 9090)
    return {"before": before["subsets"], "after": _seen(lab, 1)["subsets"]}


def another_selector(lab: Lab) -> Any:
    lab.create(service(), _idle("a"), _server("b", labels={"app": "other"}))
    _ready(lab, "a", "b")
    _seen(lab, 1)
    lab.patch("services/web", {"spec": {"selector": {"app": "other"}}})
    lab.until("endpoints", "web", lambda e: e["subsets"][0]["addresses"][0]["targetRef"]["name"] == "b")
    return _seen(lab, 1)


def a_label_that_is_taken_away(lab: Lab) -> Any:
    lab.create(service(), _idle("a"), _idle("b"))
    _ready(lab, "a", "b")
    _seen(lab, 2)
    lab.patch("pods/a", {"metadata": {"labels": {"app": None}}})
    return _seen(lab, 1)


def a_deleted_pod(lab: Lab) -> Any:
    lab.create(service(), _idle("a"), _idle("b"))
    _ready(lab, "a", "b")
    _seen(lab, 2)
    lab.delete("pods/a")
    lab.gone("pods", "a")
    return _seen(lab, 1)


def a_deployment_that_grows_and_shrinks(lab: Lab) -> Any:
    lab.create(service(), deployment(replicas=1, pods={"main": {"ports": [{"containerPort": 8080}]}}))
    counts = []
    for replicas in (1, 3, 2, 0):
        lab.patch("deployments/web", {"spec": {"replicas": replicas}})
        found = lab.until("endpoints", "web", lambda e, n=replicas: _addresses(e) == n)
        counts.append([_addresses(found), len(found.get("subsets") or ())])
    return counts


def endpoints_as_kubectl_prints_them(lab: Lab) -> Any:
    lab.create(service(), _idle("a"), _idle("b"))
    _ready(lab, "a", "b")
    _seen(lab, 2)
    return [
        lab.kubectl("get", "svc,ep"),
        lab.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web"),
        lab.kubectl("describe", "svc", "web"),
        lab.kubectl("get", "pods", "-o", "custom-columns=NAME:.metadata.name,IP:.status.podIP"),
    ]


# -- services ----------------------------------------------------------------------------------------------------------


def addresses_of_services(lab: Lab) -> Any:
    first, second = (lab.create(service(name))["spec"]["clusterIP"] for name in ("a", "b"))
    again = service("c") | {"spec": service("c")["spec"] | {"clusterIP": first}}
    outside = service("d") | {"spec": service("d")["spec"] | {"clusterIP": "192.0.2.1"}}
    return {
        "different": first != second,
        "taken": lab.refused("POST", "services", again),
        "outside": lab.refused("POST", "services", outside),
        "malformed": lab.refused("POST", "services", service("e", clusterIP="ten")),
        "changed": lab.refused("PATCH", "services/a", {"spec": {"clusterIP": second}}, "application/merge-patch+json"),
    }


def an_address_that_was_given_back(lab: Lab) -> Any:
    first = lab.create(service())["spec"]["clusterIP"]
    lab.delete("services/web")
    return lab.create(service("b", clusterIP=first))["spec"]["clusterIP"] == first


def variables_of_services(lab: Lab) -> Any:
    ports = [{"name": "http", "port": 80}, {"name": "side-door", "port": 81}]
    lab.create(service(ports=ports), service("h", clusterIP="None"))
    program = """
import os
for name, value in sorted(os.environ.items()):
    if name.startswith(("WEB", "H_", "KUBERNETES")):
        print(name, value)
"""
    return _ask(lab, program)


def no_variables_of_services(lab: Lab) -> Any:
    lab.create(service())
    program = "import os; print(*sorted(k for k in os.environ if k.startswith(('WEB', 'KUBERNETES'))), sep='\\n')"
    return _ask(lab, program, enableServiceLinks=False)


def a_service_answers(lab: Lab) -> Any:
    lab.create(service(), _server("a"), _server("b"))
    _ready(lab, "a", "b")
    _seen(lab, 2)
    program = """
import os, time, urllib.request
names = ("web", "web.NS", "web.NS.svc", "web.NS.svc.cluster.local", os.environ["WEB_SERVICE_HOST"])
deadline = time.monotonic() + 60
for name in names:
    while True:  # a real node's proxy takes a moment
        try:
            print(urllib.request.urlopen(f"http://{name}", timeout=5).status); break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
""".replace("NS", lab.ns)
    return _ask(lab, program)


def a_service_without_endpoints_refuses(lab: Lab) -> Any:
    lab.create(service())
    program = """
import socket, time
deadline = time.monotonic() + 60
while True:  # a real node's proxy takes a moment
    begun = time.monotonic()
    try:
        socket.create_connection(("web", 80), 5)
    except OSError as error:
        if time.monotonic() - begun < 2:
            print(type(error).__name__); break
    assert time.monotonic() < deadline
"""
    return _ask(lab, program)


def a_port_where_nobody_listens_refuses(lab: Lab) -> Any:
    lab.create(_idle("a"))
    _ready(lab, "a")
    address = lab.get("pods/a")["status"]["podIP"]
    program = f"""
import socket
try:
    socket.create_connection(({address!r}, 81), 5)
except OSError as error:
    print(type(error).__name__)
"""
    return _ask(lab, program)


def a_pod_sees_who_calls(lab: Lab) -> Any:
    program = """
import socket
door = socket.create_server(("", 8080))
sock, (address, _) = door.accept()
sock.sendall(address.encode()); sock.close()
"""
    lab.create(pod("a", main={"image": PYTHON, "command": ["python3", "-c", program]}))
    address = lab.until("pods", "a", lambda p: p["status"].get("phase") == "Running")["status"]["podIP"]
    asker = f"""
import socket, time
while True:
    try:
        seen = socket.create_connection(({address!r}, 8080), 5).recv(100).decode(); break
    except ConnectionRefusedError:
        time.sleep(0.1)
print(seen == socket.gethostbyname(socket.gethostname()))
"""
    return _ask(lab, asker)


def two_containers_of_a_pod_meet_on_localhost(lab: Lab) -> Any:
    serve = "import socket; d = socket.create_server(('127.0.0.1', 8080)); s, _ = d.accept(); s.sendall(b'hello'); s.close()"
    ask = """
import socket, time
while True:
    try:
        print(socket.create_connection(("localhost", 8080)).recv(10)); break
    except OSError:
        time.sleep(0.1)
"""
    both = [
        container(name=name, image=PYTHON, command=["python3", "-c", program])
        for name, program in (("serve", serve), ("ask", ask))
    ]
    made = pod("p")
    made["spec"]["containers"] = both
    lab.create(made)
    lab.ended("p", 120)
    return lab.log("p", container="ask")


# -- names -------------------------------------------------------------------------------------------------------------


def names_of_a_service(lab: Lab) -> Any:
    ip = lab.create(service())["spec"]["clusterIP"]
    program = f"""
import socket
for name in ("web", "web.NS", "web.NS.svc", "web.NS.svc.cluster.local", "kubernetes.default", "WEB"):
    found = socket.gethostbyname(name)
    print(name, found == ({ip!r} if "web" in name.lower() else "10.96.0.1"))
""".replace("NS", lab.ns)
    return _ask(lab, program)


def names_that_nobody_has(lab: Lab) -> Any:
    lab.create(service())
    program = """
import socket
for name in ("nothing", "web.other-namespace", "x.web", "web.svc"):
    try:
        print(name, socket.gethostbyname(name))
    except OSError as error:
        print(name, type(error).__name__)  # which error depends on the resolvers of the machine
"""
    return _ask(lab, program)


def names_of_pods_of_a_headless_service(lab: Lab) -> Any:
    lab.create(service(clusterIP="None"), _idle("a", hostname="first", subdomain="web"), _idle("b"))
    lab.create(_idle("c", ready=False))
    _ready(lab, "a", "b")
    _seen(lab, 2)
    addresses = [lab.get(f"pods/{name}")["status"]["podIP"] for name in "ab"]
    program = f"""
import socket, time
deadline = time.monotonic() + 40
def found(name):
    try:
        return sorted({{a[4][0] for a in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)}})
    except OSError:
        return []
while len(found("web")) < 2 and time.monotonic() < deadline:  # a real cluster's server remembers for some seconds
    time.sleep(0.5)
print(found("web") == sorted({addresses!r}), found("first.web") == [{addresses[0]!r}], found("c.web"))
print(found({addresses[1].replace(".", "-")!r} + ".web") == [{addresses[1]!r}])
"""
    return _ask(lab, program)


def a_pods_own_name(lab: Lab) -> Any:
    program = """
import socket
name = socket.gethostname()
print(name, socket.getfqdn(), socket.gethostbyname(name).startswith("10."))
print(open("/etc/hosts").read())
"""
    return [
        _ask(lab, program, "plain"),
        _ask(lab, program, "named", hostname="other", subdomain="group"),
    ]


def the_resolvers_file(lab: Lab) -> Any:
    program = """
for line in open("/etc/resolv.conf"):
    words = line.split()
    print(*(words[:4] if words[0] == "search" else words))  # the node's own domains may follow
"""
    return _ask(lab, program)


# -- trainings ---------------------------------------------------------------------------------------------------------


def _replica(replicas: int = 1, **more: Any) -> Object:
    main = container("echo $TF_CONFIG; sleep 1000", name="tensorflow") | more
    return {"replicas": replicas, "template": {"spec": {"containers": [main], "terminationGracePeriodSeconds": 1}}}


def _tfjob(policy: Object | None = None, **replicas: Any) -> Object:
    spec = {"tfReplicaSpecs": replicas} | (policy or {})
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": "job"}, "spec": spec}


def _configs(lab: Lab, *names: str) -> Any:
    """TF_CONFIG of each replica to the letter, its Service and its ports."""
    found = {}
    for name in names:
        made = lab.condition("pods", name, "Ready")
        main = made["spec"]["containers"][0]
        found[name] = {
            "config": lab.normal.text(next(e["value"] for e in main["env"] if e["name"] == "TF_CONFIG")),
            "ports": [{k: v for k, v in port.items() if k != "hostPort"} for port in main["ports"]],
            "service": lab.view(lab.get(f"services/{name}")["spec"]),
        }
    return found


def a_training_with_servers(lab: Lab) -> Any:
    lab.create(_tfjob(Chief=_replica(), Worker=_replica(2), PS=_replica(2)))
    return _configs(lab, "job-chief-0", "job-worker-0", "job-worker-1", "job-ps-0", "job-ps-1")


def a_training_of_workers(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica(2)))
    return _configs(lab, "job-worker-0", "job-worker-1")


def a_training_with_an_evaluator(lab: Lab) -> Any:
    lab.create(_tfjob(Chief=_replica(), Worker=_replica(), Evaluator=_replica()))
    return _configs(lab, "job-chief-0", "job-worker-0", "job-evaluator-0")


def a_training_on_ports_of_its_own(lab: Lab) -> Any:
    ports = [{"name": "tfjob-port", "containerPort": 3333}, {"name": "board", "containerPort": 6006}]
    lab.create(_tfjob(Worker=_replica(2, ports=ports)))
    return _configs(lab, "job-worker-0", "job-worker-1")


def a_training_with_dynamic_workers(lab: Lab) -> Any:
    lab.create(_tfjob({"enableDynamicWorker": True}, Worker=_replica(2), PS=_replica()))
    return _configs(lab, "job-worker-0", "job-worker-1", "job-ps-0")


def replicas_find_each_other_by_name(lab: Lab) -> Any:
    serve = "import socket; d = socket.create_server(('', 2222)); s, _ = d.accept(); s.sendall(b'worker'); s.close()"
    ask = """
import json, os, socket, time
host, port = json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"][0].split(":")
deadline = time.monotonic() + 90
while True:
    try:
        print(socket.create_connection((host, int(port)), 5).recv(10).decode()); break
    except OSError:
        assert time.monotonic() < deadline
        time.sleep(0.2)
"""
    chief = _replica(image=PYTHON, command=["python3", "-c", ask])
    lab.create(_tfjob(Chief=chief, Worker=_replica(image=PYTHON, command=["python3", "-c", serve])))
    lab.condition("tfjobs", "job", "Succeeded", seconds=150)
    return lab.log("job-chief-0")
