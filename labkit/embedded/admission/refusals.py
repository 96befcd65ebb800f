"""What a pod may ask of a real cluster and not of the embedded one: refused with the field's path, never ignored.

Requests that change nothing here (dropping capabilities, say) are accepted: a pod is an ordinary process of
the user who started the cluster and has no privileges to lose.
"""

from __future__ import annotations

import os

from labkit.embedded.admission.causes import refuse
from labkit.embedded.admission.placement import refuse_placement
from labkit.embedded.store import Object

VOLUMES = ("emptyDir", "configMap", "secret", "projected", "persistentVolumeClaim", "downwardAPI")
_PROJECTED = ("serviceAccountToken", "configMap", "secret", "downwardAPI")
_POD = ("hostPID", "hostIPC", "runtimeClassName", "dnsConfig", "hostAliases", "overhead", "resourceClaims",
        "readinessGates", "setHostnameAsFQDN", "ephemeralContainers", "resources", "hostnameOverride")  # fmt: skip
_SECURITY = ("seLinuxOptions", "windowsOptions", "sysctls", "supplementalGroups", "fsGroup", "privileged",
             "readOnlyRootFilesystem")  # fmt: skip
_CONTAINER = ("volumeDevices", "resizePolicy", "restartPolicyRules")


def refuse_spec(spec: Object, path: str) -> None:
    """Refuse the first field of a PodSpec that the embedded cluster can't honour."""
    for name in _POD:
        refuse(f"{path}.{name}", spec.get(name))
    refuse(f"{path}.hostUsers", spec.get("hostUsers") is False)
    refuse(f"{path}.os.name", (spec.get("os") or {}).get("name", "linux") != "linux")
    _security(spec.get("securityContext") or {}, f"{path}.securityContext")
    refuse_placement(spec, path)
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(kind) or ()):
            where = f"{path}.{kind}[{i}]"
            for name in _CONTAINER:
                refuse(f"{where}.{name}", container.get(name))
            refuse(f"{where}.resources.claims", (container.get("resources") or {}).get("claims"))
            _security(container.get("securityContext") or {}, f"{where}.securityContext")
            for k, mount in enumerate(container.get("volumeMounts") or ()):
                propagation = mount.get("mountPropagation", "None")
                refuse(f"{where}.volumeMounts[{k}].mountPropagation", propagation != "None")
    for i, volume in enumerate(spec.get("volumes") or ()):
        _volume(volume, f"{path}.volumes[{i}]")


def _security(context: Object, path: str) -> None:
    for name in _SECURITY:
        refuse(f"{path}.{name}", context.get(name))
    refuse(f"{path}.capabilities.add", (context.get("capabilities") or {}).get("add"))
    for name, own in (("runAsUser", os.getuid()), ("runAsGroup", os.getgid())):
        refuse(f"{path}.{name}", context.get(name, own) != own, f"pods run as the user who started it ({own})")
    profile = (context.get("seccompProfile") or {}).get("type", "RuntimeDefault")
    refuse(f"{path}.seccompProfile.type", profile == "Localhost")


def _volume(volume: Object, path: str) -> None:
    for kind in volume:
        refuse(f"{path}.{kind}", kind not in ("name", *VOLUMES), f"volumes of the kinds {', '.join(VOLUMES)} are")
    medium = (volume.get("emptyDir") or {}).get("medium", "")
    refuse(f"{path}.emptyDir.medium", medium.startswith("HugePages"))
    for i, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
        for kind in source:
            refuse(f"{path}.projected.sources[{i}].{kind}", kind not in _PROJECTED)
