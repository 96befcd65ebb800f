"""Rights as kubectl and the official clients meet them: every text here is what a real cluster answers to the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kubeproc import credentials
from kubeproc.admission import admit
from kubeproc.controllers import aggregation
from kubeproc.rbac import defaults
from kubeproc.rbac.authorizer import Authorizer
from kubeproc.rbac.rules import Attributes
from kubeproc.rbac.users import User
from kubeproc.resources import CLUSTERROLES, NAMESPACES, ROLEBINDINGS, ROLES
from kubeproc.store import Store

KUBECTL = Path(sys.executable).with_name("kubectl")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(api_server: Any, namespace: str) -> Kubectl:
    """`kubectl(*arguments)` as the service account `jane` of the namespace; `by="admin"` as the administrator. What it
    prints, standard error as well."""

    def run(*arguments: str, by: str = "jane") -> str:
        speaks = [] if by == "admin" else ["--as", f"system:serviceaccount:{namespace}:{by}" if by == "jane" else by]
        command = [str(KUBECTL), "--kubeconfig", str(api_server.kubeconfig), "-n", namespace, *speaks, *arguments]
        env = os.environ | {"KUBECACHEDIR": str(api_server.folder.root / "kubectl")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
        return (done.stdout + done.stderr).strip()

    run("create", "serviceaccount", "jane", by="admin")
    return run


def bind(kubectl: Kubectl, namespace: str, role: str) -> None:
    kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--serviceaccount={namespace}:jane", by="admin")


def test_a_user_without_a_role_is_forbidden_with_the_servers_message(kubectl: Kubectl, namespace: str) -> None:
    who = f'User "system:serviceaccount:{namespace}:jane"'
    cases = {
        "get nodes": f'nodes is forbidden: {who} cannot list resource "nodes" in API group "" at the cluster scope',
        "get pods": f'pods is forbidden: {who} cannot list resource "pods" in API group "" in the namespace "{namespace}"',
        "get pods p": f'pods "p" is forbidden: {who} cannot get resource "pods" in API group "" in the namespace '
        f'"{namespace}"',
        "get wf -A": f'workflows.argoproj.io is forbidden: {who} cannot list resource "workflows" in API group '
        '"argoproj.io" at the cluster scope',
        "create ns x": f'namespaces is forbidden: {who} cannot create resource "namespaces" in API group "" at the '
        "cluster scope",
        "get --raw /metrics": f'forbidden: {who} cannot get path "/metrics"',
        "get --raw /apis/foo.io/v1/namespaces/x/bars": f'bars.foo.io is forbidden: {who} cannot list resource "bars" in '
        'API group "foo.io" in the namespace "x"',
    }
    for arguments, words in cases.items():
        assert kubectl(*arguments.split()) == f"Error from server (Forbidden): {words}"


def test_default_roles_give_what_their_names_say(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("auth", "can-i", "list", "pods") == "no"
    bind(kubectl, namespace, "view")
    assert kubectl("auth", "can-i", "list", "pods") == "yes"
    assert kubectl("auth", "can-i", "get", "workflows") == "yes"  # by Argo's role, which is part of view
    assert kubectl("auth", "can-i", "get", "pods/log") == "yes"
    assert kubectl("auth", "can-i", "list", "secrets") == "no"
    assert kubectl("auth", "can-i", "create", "deployments") == "no"
    bind(kubectl, namespace, "edit")
    assert kubectl("auth", "can-i", "list", "secrets") == "yes"
    assert kubectl("auth", "can-i", "create", "deployments.apps") == "yes"
    assert kubectl("auth", "can-i", "create", "roles") == "no"
    bind(kubectl, namespace, "admin")
    assert kubectl("auth", "can-i", "create", "roles") == "yes"
    assert kubectl("auth", "can-i", "list", "nodes").startswith("no\n")
    assert kubectl("auth", "can-i", "get", "pods", "-n", "default") == "no"
    assert kubectl("delete", "rolebinding", "view", "edit", "admin", by="admin").count("deleted") == 3
    assert kubectl("auth", "can-i", "list", "pods") == "no"


def test_rights_are_listed(kubectl: Kubectl, namespace: str) -> None:
    bind(kubectl, namespace, "view")
    rows = {
        line.split("  ")[0]: line.rsplit("  ", 1)[1].strip() for line in kubectl("auth", "can-i", "--list").splitlines()
    }
    assert rows["pods"] == rows["workflows.argoproj.io"] == "[get list watch]"
    assert rows["selfsubjectaccessreviews.authorization.k8s.io"] == "[create]"
    assert "secrets" not in rows
    everything = kubectl("auth", "can-i", "--list", by="admin")
    assert "*.*" in everything


def test_a_user_cannot_grant_permissions_that_they_lack(kubectl: Kubectl, namespace: str) -> None:
    bind(kubectl, namespace, "admin")
    jane = f"{namespace}:jane"
    made = kubectl("create", "rolebinding", "x", "--clusterrole=cluster-admin", f"--serviceaccount={jane}")
    groups = f'["system:serviceaccounts" "system:serviceaccounts:{namespace}" "system:authenticated"]'
    assert made == (
        'error: failed to create rolebinding: rolebindings.rbac.authorization.k8s.io "x" is forbidden: user '
        f'"system:serviceaccount:{jane}" (groups={groups}) is attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}'
    )
    made = kubectl("create", "rolebinding", "x", "--clusterrole=nothere", f"--serviceaccount={jane}")
    assert made == 'error: failed to create rolebinding: rolebindings.rbac.authorization.k8s.io "nothere" not found'
    assert "created" in kubectl("create", "rolebinding", "y", "--clusterrole=edit", f"--serviceaccount={jane}")
    assert "created" in kubectl("create", "role", "r", "--verb=get", "--resource=secrets")
    more = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}]
    change = f'{{"rules": {more}}}'.replace("'", '"')
    refused = kubectl("patch", "role", "r", "--type=merge", "-p", change)
    assert refused.endswith('not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}')
    assert "patched" in kubectl("patch", "role", "r", "--type=merge", "-p", change, by="admin")
    assert "labeled" in kubectl("label", "role", "r", "a=b", by="admin")


def test_impersonation_needs_permission(kubectl: Kubectl, http: httpx.Client) -> None:
    assert "kubernetes-admin" in kubectl("auth", "whoami", by="admin")
    assert "system:authenticated" in kubectl("auth", "whoami", by="bob")
    assert (
        kubectl("get", "ns", "default", "-o", "name", "--as-group", "system:masters", by="bob") == "namespace/default"
    )
    nobody = http.get("/api", headers={"Impersonate-Group": "system:masters"})
    assert nobody.status_code == 500


def test_a_service_account_cannot_impersonate(api_server: Any, http: httpx.Client, namespace: str) -> None:
    made = http.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token", json={})
    mine = api_server.client(made.json()["status"]["token"])
    refused = mine.get("/api", headers={"Impersonate-User": "kubernetes-admin"})
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        f'users "kubernetes-admin" is forbidden: User "system:serviceaccount:{namespace}:default" cannot impersonate '
        'resource "users" in API group "" at the cluster scope'
    )
    assert refused.json()["details"] == {"name": "kubernetes-admin", "kind": "users"}


def test_the_argo_server_asks_with_the_callers_rights(api_server: Any, http: httpx.Client, namespace: str) -> None:
    made = http.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token", json={})
    mine = api_server.client(made.json()["status"]["token"])
    refused = mine.get(f"/api/v1/workflows/{namespace}")
    assert refused.status_code == 403
    assert refused.json() == {
        "code": 7,
        "message": f'workflows.argoproj.io is forbidden: User "system:serviceaccount:{namespace}:default" cannot list '
        f'resource "workflows" in API group "argoproj.io" in the namespace "{namespace}"',
    }
    assert mine.get("/api/v1/info").status_code == 200


def test_the_kubelet_has_only_the_permissions_for_its_work(api_server: Any) -> None:
    kubelet = api_server.client(credentials.token(api_server.folder, credentials.KUBELET))
    assert kubelet.get("/api/v1/pods").status_code == 200
    assert kubelet.get("/api/v1/namespaces/default/secrets").status_code == 200
    assert kubelet.get("/apis/apps/v1/deployments").status_code == 403
    assert kubelet.delete("/api/v1/namespaces/default").status_code == 403


@pytest.mark.parametrize(
    ("plural", "body", "words"),
    [
        ("roles", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]},
         "rules[0].verbs: Required value: verbs must contain at least one value"),
        ("roles", {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
         'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'),
        ("roles", {"rules": [{"verbs": ["get"], "resources": ["pods"]}]},
         "rules[0].apiGroups: Required value: resource rules must supply at least one api group"),
        ("rolebindings", {"roleRef": {"apiGroup": "x", "kind": "Role", "name": "r"}},
         'roleRef.apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"'),
        ("rolebindings", {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "Robot", "name": "a"}]},
         'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"'),
    ],
)  # fmt: skip
def test_a_role_that_makes_no_sense_is_refused(
    http: httpx.Client, namespace: str, plural: str, body: dict[str, Any], words: str
) -> None:
    made = http.post(f"{RBAC}/namespaces/{namespace}/{plural}", json={"metadata": {"name": "x"}, **body})
    assert made.status_code == 422, made.text
    assert words in made.json()["message"]


def test_a_bindings_role_stays(http: httpx.Client, namespace: str) -> None:
    path = f"{RBAC}/namespaces/{namespace}/rolebindings"
    made = {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r", "apiGroup": ""}}
    assert http.post(path, json=made | {"roleRef": {"kind": "Role", "name": "r"}}).status_code == 201
    merge = {"content-type": "application/merge-patch+json"}
    refused = http.patch(f"{path}/b", json={"roleRef": {"name": "other"}}, headers=merge)
    assert refused.status_code == 422
    assert "cannot change roleRef" in refused.json()["message"]


# -- the authorizer itself -------------------------------------------------------------------------------------------


@pytest.fixture
def store() -> Store:
    made = Store(None, admit=admit)
    defaults.ensure(made)
    for role in made.list(CLUSTERROLES):
        aggregation.reconcile(role, made)
    return made


def test_what_is_taken_from_a_default_role_comes_back_with_the_next_start(store: Store) -> None:
    store.modify(CLUSTERROLES, "", "system:discovery", lambda role: role | {"rules": []})
    marks = {"rbac.authorization.kubernetes.io/autoupdate": "false"}
    store.modify(
        CLUSTERROLES, "", "system:basic-user",
        lambda role: role | {"rules": [], "metadata": role["metadata"] | {"annotations": marks}},
    )  # fmt: skip
    version = store.version
    defaults.ensure(store)
    assert "/api" in store.get(CLUSTERROLES, "", "system:discovery")["rules"][0]["nonResourceURLs"]
    assert store.get(CLUSTERROLES, "", "system:basic-user")["rules"] == []
    assert store.version == version + 1


def test_a_decision_ends_with_the_role_it_came_from(store: Store) -> None:
    store.create(NAMESPACES, {"metadata": {"name": "ns"}})
    authorizer, jane = Authorizer(store), User("jane", ("system:authenticated",))
    asked = Attributes("get", "", "pods", "", "ns", "p")
    assert not authorizer.decide(jane, asked).allowed
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    store.create(ROLES, {"metadata": {"name": "r", "namespace": "ns"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "b", "namespace": "ns"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane"}],
    }
    store.create(ROLEBINDINGS, binding)
    decision = authorizer.decide(jane, asked)
    assert decision == (True, 'RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "jane"')
    assert not authorizer.decide(jane, asked._replace(namespace="other")).allowed
    store.modify(ROLES, "ns", "r", lambda role: role | {"rules": [rule | {"resourceNames": ["q"]}]})
    assert not authorizer.decide(jane, asked).allowed
    store.delete(ROLES, "ns", "r")
    assert not authorizer.decide(jane, asked._replace(name="q")).allowed


def test_a_decision_costs_microseconds(store: Store) -> None:
    authorizer, user = Authorizer(store), User("system:serviceaccount:a:b", ("system:authenticated",))
    asked = Attributes("get", "", "pods", "", "ns", "p")
    start = time.perf_counter()
    for _ in range(10_000):
        authorizer.decide(user, asked)
    assert time.perf_counter() - start < 0.5  # some 0.4 µs each on a quiet machine
