"""`status.conditions` as most kinds keep them: one entry per type, with the time of its last transition."""

from __future__ import annotations

from kubeproc import timestamps
from kubeproc.store import Object


def put(
    status: Object, type: str, value: bool | str, reason: str, message: str, *, stamps: tuple[str, ...] = ()
) -> bool:
    """Set the condition in place; True if it changed. `value` is a bool or "Unknown"; `stamps` names further fields
    that get the time of a change, such as lastUpdateTime."""
    text = value if isinstance(value, str) else ("True" if value else "False")
    entries = status.setdefault("conditions", [])
    old = next((c for c in entries if c["type"] == type), None)
    if old and (old["status"], old.get("reason"), old.get("message")) == (text, reason, message):
        return False
    moment = timestamps.now()
    new: Object = {"type": type, "status": text, **dict.fromkeys(stamps, moment)}
    same = old is not None and old["status"] == text
    new["lastTransitionTime"] = (old or {}).get("lastTransitionTime", moment) if same else moment
    new |= {k: v for k, v in (("reason", reason), ("message", message)) if v}
    if old is None:
        entries.append(new)
    else:
        entries[entries.index(old)] = new
    return True
