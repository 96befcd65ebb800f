"""The errors of an object, collected field by field, with the texts of k8s.io/apimachinery/pkg/util/validation."""

from __future__ import annotations

import json
import re
from typing import Any

from kubeproc.api_errors import cause, invalid, unsupported
from kubeproc.resources import Resource

IMMUTABLE = "field is immutable"
NEGATIVE = "must be greater than or equal to 0"
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
DNS1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    rf"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{LABEL}(\.{LABEL})*')"
)
_DNS1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{DNS1035}')"
)
_QUALIFIED_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({QUALIFIED})?')"
)


def quoted(value: Any) -> str:
    """A value as Go prints it in an error message."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Causes:
    """Collects causes; `settle` raises 422 if there are any."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

    def _add(self, reason: str, field: str, words: str, detail: str = "") -> None:
        self.found.append(cause(reason, field, words + (f": {detail}" if detail else "")))

    def required(self, field: str, detail: str = "") -> None:
        self._add("FieldValueRequired", field, "Required value", detail)

    def invalid(self, field: str, value: Any, detail: str) -> None:
        self._add("FieldValueInvalid", field, f"Invalid value: {quoted(value)}", detail)

    def duplicate(self, field: str, value: Any) -> None:
        self._add("FieldValueDuplicate", field, f"Duplicate value: {quoted(value)}")

    def not_found(self, field: str, value: Any) -> None:
        self._add("FieldValueNotFound", field, f"Not found: {quoted(value)}")

    def forbidden(self, field: str, detail: str) -> None:
        self._add("FieldValueForbidden", field, "Forbidden", detail)

    def too_long(self, field: str, limit: int) -> None:
        self._add("FieldValueTooLong", field, "Too long", f"may not be more than {limit} bytes")

    def one_of(self, field: str, value: Any, values: tuple[str, ...]) -> None:
        """Unsupported value, unless it is one of `values`."""
        if value not in values:
            self.unsupported(field, value, values)

    def unsupported(self, field: str, value: Any, values: tuple[str, ...]) -> None:
        words = "supported values: " + ", ".join(quoted(v) for v in values)
        self._add("FieldValueNotSupported", field, f"Unsupported value: {quoted(value)}", words)

    def not_negative(self, field: str, value: Any) -> None:
        if value is not None and value < 0:
            self.invalid(field, value, NEGATIVE)

    def immutable(self, field: str, new: Any, old: Any) -> None:
        if new != old:
            self.invalid(field, new, IMMUTABLE)

    def port(self, field: str, value: Any) -> None:
        if not 1 <= value <= 65535:
            self.invalid(field, value, "must be between 1 and 65535, inclusive")

    def port_name(self, field: str, name: str) -> None:
        for words in port_name_errors(name):
            self.invalid(field, name, words)

    def label(self, field: str, name: str) -> None:
        for words in label_errors(name):
            self.invalid(field, name, words)

    def subdomain(self, field: str, name: str) -> None:
        for words in subdomain_errors(name):
            self.invalid(field, name, words)

    def labels(self, field: str, labels: dict[str, Any] | None) -> None:
        for key, value in (labels or {}).items():
            for words in qualified_errors(key):
                self.invalid(field, key, words)
            for words in value_errors(value):
                self.invalid(field, value, words)

    def settle(self, resource: Resource, name: str) -> None:
        if self.found:
            raise invalid(resource, name, self.found)


def refuse(field: str, present: Any, what: str = "") -> None:
    """Refuse a field that only a real cluster supports, if it is set."""
    if present:
        raise unsupported(field, what)


def label_errors(name: str) -> list[str]:
    errors = ["must be no more than 63 characters"] if len(name) > 63 else []
    return errors if re.fullmatch(LABEL, name) else [*errors, _LABEL_WORDS]


def dns1035_errors(name: str) -> list[str]:
    errors = ["must be no more than 63 characters"] if len(name) > 63 else []
    return errors if re.fullmatch(DNS1035, name) else [*errors, _DNS1035_WORDS]


def subdomain_errors(name: str) -> list[str]:
    errors = ["must be no more than 253 characters"] if len(name) > 253 else []
    return errors if re.fullmatch(SUBDOMAIN, name) else [*errors, _SUBDOMAIN_WORDS]


def qualified_errors(key: str) -> list[str]:
    """The errors of a label's or annotation's key."""
    prefix, slash, name = key.rpartition("/")
    errors: list[str] = []
    if slash and not prefix:
        errors.append("prefix part must be non-empty")
    elif slash:
        errors.extend(f"prefix part {words}" for words in subdomain_errors(prefix))
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append("name part must be no more than 63 characters")
    if not re.fullmatch(QUALIFIED, name):
        errors.append(f"name part {_QUALIFIED_WORDS}")
    return errors


def value_errors(value: str) -> list[str]:
    errors = ["must be no more than 63 characters"] if len(value) > 63 else []
    return errors if re.fullmatch(rf"({QUALIFIED})?", value) else [*errors, _VALUE_WORDS]


def port_name_errors(name: str) -> list[str]:
    errors = []
    if len(name) > 15:
        errors.append("must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", name):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", name):
        errors.append("must contain at least one letter (a-z)")
    if "--" in name:
        errors.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors
