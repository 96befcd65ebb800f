"""The official Argo client over an embedded cluster, as the tests use it."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import argo_workflows
import httpx
import yaml
from argo_workflows.api import (
    artifact_service_api,
    cluster_workflow_template_service_api,
    info_service_api,
    workflow_service_api,
    workflow_template_service_api,
)

LOOSE = {"_check_return_type": False}
NAMESPACE = "default"
ENDED = ("Succeeded", "Failed", "Error")


class Argo:
    """The client as the course uses it, and plain HTTP for what it can't show."""

    def __init__(self, kubeconfig: Path) -> None:
        known = yaml.safe_load(kubeconfig.read_text())
        self.url = known["clusters"][0]["cluster"]["server"]
        token = known["users"][0]["user"]["token"]
        configuration = argo_workflows.Configuration(host=self.url, api_key={"BearerToken": f"Bearer {token}"})
        configuration.ssl_ca_cert = str(kubeconfig.parent / "ca.crt")
        configuration.temp_folder_path = str(kubeconfig.parent)  # where it puts what it downloads
        self.client = argo_workflows.ApiClient(configuration)
        self.workflows = workflow_service_api.WorkflowServiceApi(self.client)
        self.templates = workflow_template_service_api.WorkflowTemplateServiceApi(self.client)
        self.cluster_templates = cluster_workflow_template_service_api.ClusterWorkflowTemplateServiceApi(self.client)
        self.info = info_service_api.InfoServiceApi(self.client)
        self.artifacts = artifact_service_api.ArtifactServiceApi(self.client)
        self.http = httpx.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=str(kubeconfig.parent / "ca.crt")),
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )
        access = (Path(__file__).parents[3] / "workflows" / "access.yaml").read_text()
        for made in yaml.safe_load_all(access):
            plural = made["kind"].lower() + "s"
            self.http.post(f"/apis/{made['apiVersion']}/namespaces/{NAMESPACE}/{plural}", json=made)

    def submit(self, templates: list[dict], **spec: Any) -> str:
        """Create a workflow of these templates, the first being its entrypoint; its name."""
        manifest = {
            "metadata": {"generateName": "test-"},
            "spec": {"entrypoint": templates[0]["name"], "templates": templates, **spec},
        }
        made = self.workflows.create_workflow(NAMESPACE, {"workflow": manifest}, **LOOSE)
        return made["metadata"]["name"]

    def get(self, name: str) -> dict:
        return self.http.get(f"/api/v1/workflows/{NAMESPACE}/{name}").json()

    def wait(self, name: str, seconds: float = 30, namespace: str = NAMESPACE) -> dict:
        """The workflow once it has ended: the event that says so is awaited, not polled for."""
        query = {"listOptions.fieldSelector": f"metadata.name={name}"}
        with self.http.stream("GET", f"/api/v1/workflow-events/{namespace}", params=query, timeout=seconds) as events:
            for line in events.iter_lines():
                workflow = json.loads(line)["result"]["object"]
                if workflow["status"].get("phase") in ENDED:
                    return workflow
        raise AssertionError(f"{name}: the watch ended")

    def pod_runs(self, name: str, seconds: float = 15) -> None:
        """Return once the pod runs."""
        query = {"watch": "true", "fieldSelector": f"metadata.name={name}"}
        with self.http.stream("GET", f"/api/v1/namespaces/{NAMESPACE}/pods", params=query, timeout=seconds) as events:
            for line in events.iter_lines():
                if json.loads(line)["object"].get("status", {}).get("phase") == "Running":
                    return
        raise AssertionError(f"{name}: the watch ended")


def echo(name: str = "main", *words: str, **more: Any) -> dict:
    container = {"image": "busybox", "command": ["echo"], "args": list(words) or ["hello"]}
    return {"name": name, "container": container, **more}
