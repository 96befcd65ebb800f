"""Fields that only a real cluster supports: the first one in a spec is refused with its path, never ignored
(`kubeproc.fields`)."""

from __future__ import annotations

from kubeproc.api_errors import unsupported
from kubeproc.fields import first_refused
from kubeproc.fields.workload_fields import TYPES
from kubeproc.store import Object


def refuse_spec(spec: Object, kind: str = "PodSpec", path: str = "spec") -> None:
    """Refuse the first field of a spec that the embedded cluster does not support; `kind` is the spec's table."""
    if found := first_refused(TYPES, kind, spec, path):
        raise unsupported(*found)
