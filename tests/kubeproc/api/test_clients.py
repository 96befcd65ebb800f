"""The official Python client, as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config, utils, watch
from kubernetes.client.rest import ApiException


@pytest.fixture
def api(api_server: Any) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(api_server.kubeconfig)) as made:
        yield made


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def test_objects_come_and_go(core: client.CoreV1Api, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, config_map("m", a="1"))
    made.data["a"] = "2"
    assert core.replace_namespaced_config_map("m", namespace, made).data == {"a": "2"}
    assert core.patch_namespaced_config_map("m", namespace, {"data": {"b": "3"}}).data == {"a": "2", "b": "3"}
    operations = [{"op": "remove", "path": "/data/a"}]
    assert core.patch_namespaced_config_map("m", namespace, operations).data == {"b": "3"}
    assert core.delete_namespaced_config_map("m", namespace).status == "Success"
    with pytest.raises(ApiException) as refused:
        core.read_namespaced_config_map("m", namespace)
    assert refused.value.status == 404


def test_a_pod_is_read_back_with_its_types(core: client.CoreV1Api, namespace: str) -> None:
    container = client.V1Container(name="c", image="busybox", command=["true"])
    spec = client.V1PodSpec(containers=[container], scheduler_name="nobody")
    core.create_namespaced_pod(namespace, client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=spec))
    (pod,) = core.list_namespaced_pod(namespace).items
    assert pod.status.phase == "Pending"
    assert pod.metadata.creation_timestamp.tzinfo is not None
    assert core.delete_namespaced_pod("p", namespace, grace_period_seconds=0).metadata.name == "p"


def test_a_watch_resumes_from_its_version(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, config_map("a"))
    watcher, seen = watch.Watch(), []
    for event in watcher.stream(core.list_namespaced_config_map, namespace, timeout_seconds=10):
        if event["object"].metadata.name.startswith("kube-"):
            continue
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 1:
            core.create_namespaced_config_map(namespace, config_map("b"))
        else:
            watcher.stop()
    assert seen == [("ADDED", "a"), ("ADDED", "b")]


def test_yaml_files_are_created(api: client.ApiClient, core: client.CoreV1Api, namespace: str, tmp_path: Any) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\n"
        "apiVersion: v1\nkind: Service\nmetadata: {name: two}\nspec: {ports: [{port: 80}], selector: {app: x}}\n"
    )
    utils.create_from_yaml(api, str(path), namespace=namespace)
    assert core.read_namespaced_config_map("one", namespace).metadata.name == "one"
    assert core.read_namespaced_service("two", namespace).spec.ports[0].port == 80
    with pytest.raises(utils.FailToCreateError, match="AlreadyExists"):
        utils.create_from_yaml(api, str(path), namespace=namespace)


def test_custom_objects_take_merge_patches(api: client.ApiClient, namespace: str) -> None:
    custom = client.CustomObjectsApi(api)
    where = ("argoproj.io", "v1alpha1", namespace, "workflowtemplates")
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "t"},
        "spec": {"a": 1},
    }
    custom.create_namespaced_custom_object(*where, body)
    assert custom.patch_namespaced_custom_object(*where, "t", {"spec": {"b": 2}})["spec"] == {"a": 1, "b": 2}
    assert [o["metadata"]["name"] for o in custom.list_namespaced_custom_object(*where)["items"]] == ["t"]
    assert custom.delete_namespaced_custom_object(*where, "t")["status"] == "Success"


def test_a_scale_is_read_and_changed(api: client.ApiClient, namespace: str) -> None:
    apps = client.AppsV1Api(api)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    spec = {"replicas": 0, "paused": True, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    apps.create_namespaced_deployment(namespace, {"metadata": {"name": "d"}, "spec": spec})
    scale = apps.read_namespaced_deployment_scale("d", namespace)
    scale.spec.replicas = 2
    assert apps.replace_namespaced_deployment_scale("d", namespace, scale).spec.replicas == 2


def test_the_version_is_reported(api: client.ApiClient) -> None:
    assert client.VersionApi(api).get_code().minor == "34"
