"""The normal form of what a client sees: all that must differ between two runs of one cluster is masked.

Masked are the namespace, the node, uids, times, addresses, ports that were allotted, digests, ids of containers, generated
suffixes and durations; the rest stays as it was said. `differences` compares two normal forms and names the fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"  # the letters of generated names
DROPPED = {
    "managedFields",
    "uid",
    "resourceVersion",
    "containerID",
    "imageID",
    "hostPort",
    "clusterIPs",
    "hostIPs",
    "podIPs",
    "labkit.dev/ports",
    "kubectl.kubernetes.io/last-applied-configuration",
    "allocatedResources",
    "workflows.argoproj.io/creator",
    "workflows.argoproj.io/actor",
}
MASKS = [
    (re.compile(pattern), to)
    for pattern, to in {
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b": "UID",
        r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)": "TIME",
        r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}": "TIME",
        r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b": "IP",
        r"(docker.io/library/import-\d{4}-\d\d-\d\d@)?sha256:[0-9a-f]{64}": "DIGEST",  # of an image from an archive
        r"\w+://[0-9a-f]{64}": "CONTAINER",
        r"(?<![\w-])[23]\d{4}\b": "PORT",  # after a hyphen it is the end of a generated name
        r"(?<![\w./-])(labkit|lab(?:kit(?:-[a-z]+)?-[0-9a-f]{6})?-control-plane)(?![\w.-]|/(?!IP))": "NODE",
        r'Invalid value: "\{\\"apiVersion.*?\}": ': 'Invalid value: "OBJECT": ',
        r'time="TIME" level=info msg="sub-process exited"[^\n]*\n': "",  # Argo's executor, in main's own log
        r"map\[User:[^\]]*\]": "map[User:WHO]",
        r"docker.io/labkit/(busybox):1\b": r"docker.io/library/\1:1.36",  # the name under which the oracle has it
        r"(quay.io/argoproj|labkit)/argoexec:v[\d.]+": "ARGOEXEC",
        rf"-{RANDOM}{{8,10}}-{RANDOM}{{5}}\b": "-HASH-XXXXX",
        rf"-{RANDOM}{{5}}\b": "-XXXXX",
        rf"-{RANDOM}{{8,10}}\b": "-HASH",
        rf"pod-template-hash=({RANDOM}{{8,10}})\b": "pod-template-hash=HASH",
    }.items()
]
DURATION = re.compile(r"\b(\d+(ms|[smhd]))+\b|<invalid>")


@dataclass
class Normal:
    """Normal forms of one run: `names` are that run's own words, each with what stands for it."""

    names: dict[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        for name, mask in self.names.items():
            text = text.replace(name, mask)
        for pattern, to in MASKS:
            text = pattern.sub(to, text)
        return text

    def value(self, value: Any) -> Any:
        """An object, a list or a word."""
        if isinstance(value, dict):
            if "pod-template-hash" in value:
                value = value | {"pod-template-hash": "HASH"}
            if "controller-uid" in value:
                value = value | {"controller-uid": "UID"}
            kept = {self.text(str(k)): self.value(v) for k, v in value.items() if k not in DROPPED}
            if kept.get("details") == {}:
                del kept["details"]
            if value.get("annotations") and not kept.get("annotations"):
                kept.pop("annotations", None)  # there were none but the engine's own
            return kept
        if isinstance(value, list | tuple):
            return [self.value(v) for v in value if not (isinstance(v, dict) and v.get("type") == "PodRunning")]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool) and 20000 <= value < 40000:
            return "PORT"
        return value

    def printed(self, text: str) -> list[str]:
        """What kubectl printed, by line: durations masked, columns two blanks apart."""
        text = re.sub(r"labkit.dev/ports: \{.*?\}", "<none>", text)
        lines = DURATION.sub("AGE", self.text(text)).rstrip("\n").split("\n")
        return [re.sub(r"(?<=\S) {2,}|\t+", "  ", line).rstrip() for line in lines if line or len(lines) > 1]


def differences(golden: Any, found: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, golden, found) of each leaf that differs; a missing one is None."""
    if isinstance(golden, dict) and isinstance(found, dict):
        for key in sorted({*golden, *found}):
            yield from differences(golden.get(key), found.get(key), f"{at}.{key}" if at else key)
    elif isinstance(golden, list) and isinstance(found, list) and len(golden) == len(found):
        for i, pair in enumerate(zip(golden, found, strict=True)):
            yield from differences(*pair, f"{at}[{i}]")
    elif golden != found:
        yield at, golden, found
