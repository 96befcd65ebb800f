"""Services, claims, Deployments, ReplicaSets, Jobs and TFJobs. Their pod templates are in `pod_fields`."""

from __future__ import annotations

from kubeproc.fields import Field, Table, done, ignored, one_of, other_than, pod_fields, refused, refused_always

_ONE_NODE = "all nodes share this machine"
_TEMPLATE = done(template="PodTemplate")

TYPES: dict[str, Table] = pod_fields.TYPES | {
    "PodTemplate": done("metadata", spec="PodSpec"),
    "ServiceSpec": {
        "type": Field(refused=one_of("LoadBalancer", "ExternalName"), words="`LoadBalancer` and `ExternalName`"),
    }
    | done("clusterIP clusterIPs publishNotReadyAddresses selector", ports="ServicePort")
    | refused("externalIPs externalName loadBalancerIP loadBalancerClass loadBalancerSourceRanges healthCheckNodePort")
    | refused("trafficDistribution")
    | {
        "sessionAffinity": Field(
            refused=one_of("ClientIP"), words="`ClientIP`", hint="all clients have the same address"
        ),
        "ipFamilies": Field(refused=lambda families: isinstance(families, list) and "IPv6" in families, words="`IPv6`"),
        "ipFamilyPolicy": Field(refused=one_of("RequireDualStack"), words="`RequireDualStack`"),
    }
    | ignored("it belongs to `ClientIP`", "sessionAffinityConfig")
    | ignored("there is no load balancer", "allocateLoadBalancerNodePorts")
    | ignored(_ONE_NODE, "externalTrafficPolicy internalTrafficPolicy"),
    "ServicePort": done("appProtocol name nodePort port targetPort")
    | {"protocol": Field(refused=other_than("TCP", ""), words="other than `TCP`", hint="only TCP is forwarded")},
    "PersistentVolumeClaimSpec": done("accessModes storageClassName", resources="VolumeResources")
    | {
        "volumeMode": Field(refused=one_of("Block"), words="`Block`", hint="block devices"),
        "volumeName": Field(ignored="the claim's own folder is its volume; another name is refused when it is made"),
    }
    | refused("volumeAttributesClassName")
    | refused_always("dataSource dataSourceRef selector"),
    "VolumeResources": done("requests") | ignored("a claim is a folder: its size is not kept", "limits"),
    "DeploymentSpec": _TEMPLATE
    | done(
        "minReadySeconds paused progressDeadlineSeconds replicas revisionHistoryLimit strategy",
        selector="LabelSelector",
    ),
    "ReplicaSetSpec": _TEMPLATE | done("minReadySeconds replicas", selector="LabelSelector"),
    "JobSpec": _TEMPLATE
    | done(
        "activeDeadlineSeconds backoffLimit completionMode completions manualSelector parallelism podReplacementPolicy "
        "suspend ttlSecondsAfterFinished",
        selector="LabelSelector",
    )
    | {"managedBy": Field(refused=other_than("kubernetes.io/job-controller"), words="another manager")}
    | refused_always("backoffLimitPerIndex maxFailedIndexes podFailurePolicy successPolicy"),
    "TFJobSpec": done("enableDynamicWorker successPolicy", runPolicy="RunPolicy", tfReplicaSpecs="{}ReplicaSpec"),
    "RunPolicy": done("activeDeadlineSeconds backoffLimit cleanPodPolicy suspend ttlSecondsAfterFinished")
    | refused("schedulingPolicy", "gang scheduling")
    | {
        "managedBy": Field(
            refused=other_than("kubeflow.org/training-operator"),
            words="another manager",
            hint='"kueue.x-k8s.io/multikueue"',
        )
    },
    "ReplicaSpec": _TEMPLATE | done("replicas restartPolicy"),
}
