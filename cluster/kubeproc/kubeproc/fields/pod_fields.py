"""A pod's spec. Its processes run as the user who started the cluster: a request for fewer privileges has no effect and
is accepted, a request for more is refused."""

from __future__ import annotations

import os
from typing import Any

from kubeproc.fields import Field, Table, done, ignored, one_of, other_than, refused, refused_always

VOLUMES = ("emptyDir", "configMap", "secret", "projected", "persistentVolumeClaim", "downwardAPI")
_OTHER_VOLUMES = """awsElasticBlockStore azureDisk azureFile cephfs cinder csi ephemeral fc flexVolume flocker
gcePersistentDisk gitRepo glusterfs hostPath image iscsi nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO
storageos vsphereVolume"""
_NO_PROFILES = "a pod has no capabilities and no profile, whatever it asks for"
_OWN_USER = "pods run as the user who started the cluster"
_OWN_GROUP = "pods run as the group of the user who started the cluster"
_SECURITY = (
    refused("seLinuxOptions windowsOptions")
    | ignored(_NO_PROFILES, "appArmorProfile")
    | done("runAsNonRoot", seccompProfile="SeccompProfile")
    | {
        "runAsUser": Field(refused=other_than(os.getuid()), words="of another user", hint=_OWN_USER),
        "runAsGroup": Field(refused=other_than(os.getgid()), words="of another group", hint=_OWN_GROUP),
    }
)
_CONTAINER = done(
    "args command image imagePullPolicy name restartPolicy stdin stdinOnce terminationMessagePath "
    "terminationMessagePolicy tty workingDir",
    env="EnvVar",
    envFrom="EnvFromSource",
    lifecycle="Lifecycle",
    livenessProbe="Probe",
    ports="ContainerPort",
    readinessProbe="Probe",
    resources="ResourceRequirements",
    securityContext="SecurityContext",
    startupProbe="Probe",
    volumeMounts="VolumeMount",
) | refused("resizePolicy restartPolicyRules volumeDevices")
_TERM = (
    done("namespaces topologyKey", labelSelector="LabelSelector")
    | refused("matchLabelKeys mismatchLabelKeys")
    | refused_always("namespaceSelector")
)
_PREFERRED, _REQUIRED = (
    "preferredDuringSchedulingIgnoredDuringExecution",
    "requiredDuringSchedulingIgnoredDuringExecution",
)
_AFFINITY = done(**{_PREFERRED: "WeightedPodAffinityTerm", _REQUIRED: "PodAffinityTerm"})
_PROJECTION = done("name optional", items="KeyToPath")


def _huge(medium: Any) -> bool:
    return str(medium).startswith("HugePages")


TYPES: dict[str, Table] = {
    "PodSpec": done(
        "activeDeadlineSeconds automountServiceAccountToken enableServiceLinks hostname nodeName nodeSelector "
        "priorityClassName restartPolicy schedulerName serviceAccount serviceAccountName shareProcessNamespace subdomain "
        "terminationGracePeriodSeconds",
        affinity="Affinity",
        containers="Container",
        initContainers="Container",
        os="PodOS",
        schedulingGates="Name",
        securityContext="PodSecurityContext",
        tolerations="Toleration",
        topologySpreadConstraints="TopologySpreadConstraint",
        volumes="Volume",
    )
    | refused("dnsConfig ephemeralContainers hostAliases hostIPC hostPID hostnameOverride overhead readinessGates")
    | refused("resourceClaims resources runtimeClassName setHostnameAsFQDN")
    | {"hostUsers": Field(refused=one_of(False), words="`false`")}
    | ignored("the resolver is the cluster's, or the host's where pods share its network", "dnsPolicy")
    | ignored("it is so for all pods of a cluster that gives them no network of their own", "hostNetwork")
    | ignored("no image is pulled", "imagePullSecrets")
    | ignored("there is no preemption", "preemptionPolicy priority"),
    "Name": done("name"),
    "PodOS": {"name": Field(refused=other_than("linux"), words="other than `linux`")},
    "PodSecurityContext": _SECURITY
    | refused("supplementalGroups sysctls")
    | refused_always("fsGroup")
    | ignored(_NO_PROFILES, "fsGroupChangePolicy seLinuxChangePolicy supplementalGroupsPolicy"),
    "SecurityContext": _SECURITY
    | done(capabilities="Capabilities")
    | refused("privileged readOnlyRootFilesystem")
    | ignored(_NO_PROFILES, "allowPrivilegeEscalation procMount"),
    "Capabilities": refused("add") | ignored(_NO_PROFILES, "drop"),
    "SeccompProfile": {"type": Field(refused=one_of("Localhost"), words="`Localhost`")}
    | ignored(_NO_PROFILES, "localhostProfile"),
    "Container": _CONTAINER,
    "EnvVar": done("name value", valueFrom="EnvVarSource"),
    "EnvVarSource": done(
        configMapKeyRef="KeyRef", fieldRef="FieldRef", resourceFieldRef="ResourceFieldRef", secretKeyRef="KeyRef"
    )
    | refused_always("fileKeyRef"),
    "KeyRef": done("key name optional"),
    "FieldRef": done("apiVersion fieldPath"),
    "ResourceFieldRef": done("containerName divisor resource"),
    "EnvFromSource": done("prefix", configMapRef="EnvRef", secretRef="EnvRef"),
    "EnvRef": done("name optional"),
    "Lifecycle": done(postStart="LifecycleHandler", preStop="LifecycleHandler") | refused("stopSignal"),
    "LifecycleHandler": done(exec="Exec", httpGet="HTTPGet", sleep="Sleep", tcpSocket="TCPSocket"),
    "Probe": done(
        "failureThreshold initialDelaySeconds periodSeconds successThreshold terminationGracePeriodSeconds timeoutSeconds",
        exec="Exec",
        httpGet="HTTPGet",
        tcpSocket="TCPSocket",
    )
    | {"grpc": Field(refused=lambda value: True, hint="exec, httpGet and tcpSocket are")},
    "Exec": done("command"),
    "HTTPGet": done("host path port scheme", httpHeaders="Header"),
    "Header": done("name value"),
    "Sleep": done("seconds"),
    "TCPSocket": done("host port"),
    "ContainerPort": done("containerPort hostPort name protocol")
    | ignored("every port listens on 127.0.0.1", "hostIP"),
    "ResourceRequirements": done("limits requests") | refused("claims"),
    "VolumeMount": done("mountPath name readOnly subPath subPathExpr")
    | {
        "mountPropagation": Field(refused=other_than("None"), words="other than `None`"),
        "recursiveReadOnly": Field(refused=one_of("Enabled"), words="`Enabled`"),
    },
    "Affinity": done(nodeAffinity="NodeAffinity", podAffinity="PodAffinity", podAntiAffinity="PodAffinity"),
    "NodeAffinity": done(**{_PREFERRED: "PreferredNode", _REQUIRED: "NodeSelector"}),
    "PreferredNode": done("weight", preference="NodeTerm"),
    "NodeSelector": done(nodeSelectorTerms="NodeTerm"),
    "NodeTerm": done(matchExpressions="Requirement", matchFields="Requirement"),
    "Requirement": done("key operator values"),
    "PodAffinity": _AFFINITY,
    "WeightedPodAffinityTerm": done("weight", podAffinityTerm="PodAffinityTerm"),
    "PodAffinityTerm": _TERM,
    "LabelSelector": done("matchLabels", matchExpressions="Requirement"),
    "Toleration": done("effect key operator tolerationSeconds value"),
    "TopologySpreadConstraint": done(
        "matchLabelKeys maxSkew minDomains nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable",
        labelSelector="LabelSelector",
    ),
    "Volume": done(
        "name",
        configMap="ConfigMapVolume",
        downwardAPI="DownwardAPIVolume",
        emptyDir="EmptyDir",
        persistentVolumeClaim="ClaimVolume",
        projected="ProjectedVolume",
        secret="SecretVolume",
    )
    | {
        name: Field(refused=lambda value: True, hint=f"volumes of the kinds {', '.join(VOLUMES)} are")
        for name in _OTHER_VOLUMES.split()
    },
    "ConfigMapVolume": done("defaultMode name optional", items="KeyToPath"),
    "SecretVolume": done("defaultMode optional secretName", items="KeyToPath"),
    "KeyToPath": done("key mode path"),
    "DownwardAPIVolume": done("defaultMode", items="DownwardFile"),
    "DownwardFile": done("mode path", fieldRef="FieldRef", resourceFieldRef="ResourceFieldRef"),
    "EmptyDir": done("sizeLimit")
    | {
        "medium": Field(
            refused=_huge, words="of huge pages", ignored="`Memory` means a folder, too, which counts as no memory"
        )
    },
    "ClaimVolume": done("claimName readOnly"),
    "ProjectedVolume": done("defaultMode", sources="Projection"),
    "Projection": done(
        configMap="KeysProjection",
        downwardAPI="DownwardProjection",
        secret="KeysProjection",
        serviceAccountToken="Token",
    )
    | {name: Field(refused=lambda value: True) for name in ("clusterTrustBundle", "podCertificate")},
    "KeysProjection": _PROJECTION,
    "DownwardProjection": done(items="DownwardFile"),
    "Token": done("audience expirationSeconds path"),
}
