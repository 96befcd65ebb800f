"""Data to an object of its kind, as Go's decoder does it: types checked, nulls gone, unknown fields dropped and told.

Built-in kinds stop at the first wrong type, in the words of Go's JSON package; custom resources collect every one, in
the words of their OpenAPI validation.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from kubeproc.api.schema.schemas import Schema
from kubeproc.api_errors import cause

QUANTITY = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
RANGES = {"int32": 2**31, "int64": 2**63}
ZERO: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False}  # of what Go always writes
NULL = ZERO | {"bytes": "", "quantity": "0", "intorstring": 0, "time": None}  # what null is among other values


class Unreadable(Exception):
    """A value that doesn't fit its Go type; the text is Go's."""


class Decoder:
    """Decodes one object. `unknown` collects the paths of fields that the schema doesn't have; `causes`, for custom
    resources, what is wrong with the others."""

    def __init__(self, custom: bool) -> None:
        self.custom = custom
        self.unknown: list[str] = []
        self.causes: list[dict[str, str]] = []

    def decode(self, schema: Schema, value: Any) -> Any:
        return self._value(schema, value, "", "", schema.struct)

    def _value(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        """`path` has indices, for unknown fields; `dotted` has none, as in Go's own messages."""
        return getattr(self, "_" + schema.kind)(schema, value, path, dotted, struct)

    def _object(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if not isinstance(value, dict):
            return self._wrong(schema, value, path, dotted, struct)
        made, struct = {}, schema.struct or struct
        for name, inner in value.items():
            known = schema.field(name)
            here = f"{path}.{name}" if path else name
            if known is None:
                self.unknown.append(here)
            elif inner is not None or (self.custom and path):
                found = self._value(known, inner, here, f"{dotted}.{name}" if dotted else name, struct)
                # Go leaves empty lists and maps out when it writes an object, so they can't be told from absent ones.
                empty = found in ({}, []) and known.kind in ("map", "list")
                if not empty or (self.custom and not here.startswith("metadata")):
                    made[name] = found
        for name in schema.required:
            if name in made:
                continue
            if self.custom:
                where = f"{path}.{name}" if path else name
                self.causes.append(cause("FieldValueRequired", where, "Required value"))
            elif (known := schema.field(name)) is not None and known.kind in ZERO:
                made[name] = ZERO[known.kind]  # Go writes such a field even where nobody has set it
        return made

    def _map(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if not isinstance(value, dict):
            return self._wrong(schema, value, path, dotted, struct)
        items = schema.items
        return {
            k: NULL.get(items.kind, {}) if v is None and not self.custom
            else self._value(items, v, f"{path}.{k}" if path else k, dotted, struct)
            for k, v in value.items()
        }  # fmt: skip

    def _list(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if not isinstance(value, list):
            return self._wrong(schema, value, path, dotted, struct)
        items = schema.items
        return [
            NULL.get(items.kind, {}) if v is None and not self.custom
            else self._value(items, v, f"{path}[{i}]", dotted, struct)
            for i, v in enumerate(value)
        ]  # fmt: skip

    def _any(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if schema.format == "object" and not isinstance(value, dict):
            return self._wrong(schema, value, path, dotted, struct)
        return value

    def _string(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        return value if isinstance(value, str) else self._wrong(schema, value, path, dotted, struct)

    def _boolean(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        return value if isinstance(value, bool) else self._wrong(schema, value, path, dotted, struct)

    def _integer(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        bound = RANGES.get(schema.format, 2**63)
        if isinstance(value, float) and value.is_integer() and abs(value) < bound:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -bound <= value < bound:
            return self._wrong(schema, value, path, dotted, struct)
        return value

    def _number(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self._wrong(schema, value, path, dotted, struct)
        return value

    def _bytes(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if not isinstance(value, str):
            return self._wrong(schema, value, path, dotted, struct)
        try:
            base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            odd = re.search(r"[^A-Za-z0-9+/]", value)
            raise Unreadable(f"illegal base64 data at input byte {odd.start() if odd else len(value)}") from None
        return value

    def _quantity(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = repr(value)
        if not isinstance(value, str) or not QUANTITY.fullmatch(value):
            pattern = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
            raise Unreadable(f"quantities must match the regular expression '{pattern}'")
        return value

    def _intorstring(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if isinstance(value, str):
            return value
        return self._integer(schema, value, path, dotted, struct)

    def _time(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if self.custom and value is None:
            return None
        if not isinstance(value, str):
            raise Unreadable(f"json: cannot unmarshal {_go(value)} into Go value of type string")
        if not TIME.fullmatch(value):
            raise Unreadable(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"')
        return value

    def _wrong(self, schema: Schema, value: Any, path: str, dotted: str, struct: str) -> Any:
        if self.custom and path and not path.startswith("metadata"):
            kinds = {"map": "object", "list": "array", "any": "object"}
            shown = _openapi(value)
            words = f'Invalid value: "{shown}": {path} in body must be of type '
            words += f'{kinds.get(schema.kind, schema.kind)}: "{shown}"'
            self.causes.append(cause("FieldValueTypeInvalid", path, words))
            return value
        number = f" {value}" if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
        said = _go(value) + (number if schema.kind in ("integer", "intorstring") else "")
        if not path:
            raise Unreadable(f"json: cannot unmarshal {said} into Go value of type {schema.go}")
        raise Unreadable(f"json: cannot unmarshal {said} into Go struct field {struct}.{dotted} of type {schema.go}")


def _go(value: Any) -> str:
    names = {bool: "bool", str: "string", dict: "object", list: "array", int: "number", float: "number"}
    return names.get(type(value), "null")


def _openapi(value: Any) -> str:
    names = {bool: "boolean", str: "string", dict: "object", list: "array", int: "integer", float: "number"}
    return names.get(type(value), "null")
