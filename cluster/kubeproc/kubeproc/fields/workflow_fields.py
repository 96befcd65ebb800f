"""Workflows and their templates, as Argo 3.7 has them. Their containers, volumes and placements are in `pod_fields`."""

from __future__ import annotations

from typing import Any

from kubeproc import embedder
from kubeproc.fields import (
    Field,
    Table,
    done,
    first_refused,
    ignored,
    pod_fields,
    refused,
    refused_always,
    workload_fields,
)

_NO_METRICS = "no metrics are collected"
_OWN_ACCOUNT = "the executor uses the pod's own account"
_STORES = "artifactory azure gcs git hdfs oss plugin"  # artifact locations that Argo supports besides these
_PLACE = done(http="HTTPArtifact", raw="RawArtifact", s3="S3Artifact") | {
    name: Field(refused=lambda value: True, hint="s3, http and raw are") for name in _STORES.split()
}
_PLACEMENT = done(
    "automountServiceAccountToken nodeSelector schedulerName serviceAccountName",
    affinity="Affinity",
    securityContext="PodSecurityContext",
    tolerations="Toleration",
    volumes="Volume",
) | refused("hostAliases")
_REF = done("clusterScope name template")
_CALL = done(
    "name onExit template when withItems withParam",
    arguments="Arguments",
    continueOn="ContinueOn",
    hooks="{}LifecycleHook",
    inline="Template",
    templateRef="TemplateRef",
    withSequence="Sequence",
)

TYPES: dict[str, Table] = workload_fields.TYPES | {
    "WorkflowSpec": _PLACEMENT
    | done(
        "activeDeadlineSeconds archiveLogs entrypoint onExit parallelism podPriorityClassName podSpecPatch priority shutdown "
        "suspend",
        arguments="Arguments",
        artifactRepositoryRef="ArtifactRepositoryRef",
        hooks="{}LifecycleHook",
        podGC="PodGC",
        podMetadata="Metadata",
        retryStrategy="RetryStrategy",
        synchronization="Synchronization",
        templates="Template",
        templateDefaults="Template",
        ttlStrategy="TTLStrategy",
        volumeClaimGC="VolumeClaimGC",
        volumeClaimTemplates="Claim",
        workflowMetadata="WorkflowMetadata",
        workflowTemplateRef="WorkflowTemplateRef",
    )
    | refused("metrics", _NO_METRICS)
    | refused("artifactGC dnsConfig")
    | refused_always("podDisruptionBudget")
    | ignored(_OWN_ACCOUNT, "executor")
    | ignored("the resolver is the cluster's, or the host's where pods share its network", "dnsPolicy")
    | ignored("it is so for all pods of a cluster that gives them no network of their own", "hostNetwork")
    | ignored("no image is pulled", "imagePullSecrets"),
    "Template": _PLACEMENT
    | done(
        "activeDeadlineSeconds failFast name parallelism podSpecPatch priorityClassName timeout",
        archiveLocation="ArtifactLocation",
        container="Container",
        dag="DAGTemplate",
        initContainers="UserContainer",
        inputs="Inputs",
        memoize="Memoize",
        metadata="Metadata",
        outputs="Outputs",
        resource="ResourceTemplate",
        retryStrategy="RetryStrategy",
        script="ScriptTemplate",
        sidecars="UserContainer",
        steps="WorkflowStep",
        suspend="SuspendTemplate",
        synchronization="Synchronization",
    )
    | refused_always("containerSet http plugin data")
    | refused("daemon", "a Deployment and a Service can serve the other steps")
    | refused("metrics", _NO_METRICS)
    | ignored(_OWN_ACCOUNT, "executor")
    | ignored("only Argo's pages show them", "annotations"),
    "ScriptTemplate": pod_fields.TYPES["Container"] | done("source"),
    "UserContainer": pod_fields.TYPES["Container"] | done("mirrorVolumeMounts"),
    "Arguments": done(artifacts="Artifact", parameters="Parameter"),
    "Inputs": done(artifacts="Artifact", parameters="Parameter"),
    "Outputs": done("exitCode result", artifacts="Artifact", parameters="Parameter"),
    "Parameter": done("default description enum globalName name value", valueFrom="ValueFrom"),
    "ValueFrom": done("default event expression jsonPath parameter path supplied", configMapKeyRef="KeyRef")
    | refused("jqFilter", "jsonPath is"),
    "Artifact": _PLACE
    | done(
        "archiveLogs deleted from fromExpression globalName mode name optional path recurseMode subPath",
        archive="ArchiveStrategy",
    )
    | refused("artifactGC"),
    "ArtifactLocation": _PLACE | done("archiveLogs"),
    "ArchiveStrategy": done("none zip", tar="TarStrategy"),
    "TarStrategy": done("compressionLevel"),
    "HTTPArtifact": done("url", headers="Header") | refused("auth", "headers are"),
    "RawArtifact": done("data"),
    "S3Artifact": done("bucket endpoint insecure key region", accessKeySecret="KeyRef", secretKeySecret="KeyRef")
    | refused("caSecret encryptionOptions roleARN sessionTokenSecret useSDKCreds")
    | refused_always("createBucketIfNotPresent"),
    "ArtifactRepositoryRef": done("configMap key"),
    "LifecycleHook": done("expression template", arguments="Arguments", templateRef="TemplateRef"),
    "TemplateRef": _REF,
    "WorkflowTemplateRef": done("clusterScope name"),
    "PodGC": done("deleteDelayDuration strategy", labelSelector="LabelSelector"),
    "Metadata": done("annotations labels"),
    "WorkflowMetadata": done("annotations labels", labelsFrom="{}LabelValueFrom"),
    "LabelValueFrom": done("expression"),
    "RetryStrategy": done("expression limit retryPolicy", affinity="RetryAffinity", backoff="Backoff"),
    "RetryAffinity": done("nodeAntiAffinity"),
    "Backoff": done("cap duration factor maxDuration"),
    "Synchronization": done(mutex="Mutex", mutexes="Mutex", semaphore="SemaphoreRef", semaphores="SemaphoreRef"),
    "Mutex": done("name namespace") | refused("database"),
    "SemaphoreRef": done("namespace", configMapKeyRef="KeyRef") | refused_always("database"),
    "TTLStrategy": done("secondsAfterCompletion secondsAfterFailure secondsAfterSuccess"),
    "VolumeClaimGC": done("strategy"),
    "Claim": done("apiVersion kind metadata status", spec="PersistentVolumeClaimSpec"),
    "DAGTemplate": done("failFast target", tasks="DAGTask"),
    "DAGTask": _CALL | done("dependencies depends"),
    "WorkflowStep": _CALL,
    "ContinueOn": done("error failed"),
    "Sequence": done("count end format start"),
    "Memoize": done("key maxAge", cache="Cache"),
    "Cache": done(configMap="KeyRef"),
    "ResourceTemplate": done(
        "action failureCondition flags manifest mergeStrategy setOwnerReference successCondition",
        manifestFrom="ManifestFrom",
    ),
    "ManifestFrom": done(artifact="Artifact"),
    "SuspendTemplate": done("duration"),
}


def refusal(kind: str, value: Any, where: str) -> str:
    """Why a part of a workflow, of the table `kind`, is refused; "" if it is not."""
    found = first_refused(TYPES, kind, value, where, by_name=True)
    return embedder.unsupported(*found) if found else ""
