"""sprig's semantic versions, and the constraints on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.values import Function, Int

_VERSION = re.compile(
    r"v?(0|[1-9][0-9]*)(?:\.(0|[1-9][0-9]*))?(?:\.(0|[1-9][0-9]*))?"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?\Z"
)
_MORE = r"[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*"
_PART = rf"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?(-(?:{_MORE}))?(?:\+(?:{_MORE}))?"
LONGEST = 1000  # characters of a constraint, since these expressions are Python's


@dataclass(frozen=True)
class Version:
    """One version; a pointer in Go if it was parsed, a value if it was incremented."""

    major: int
    minor: int
    patch: int
    pre: str = ""
    metadata: str = ""
    original: str = ""
    pointer: bool = True

    @property
    def go_type(self) -> str:
        return "*semver.Version" if self.pointer else "semver.Version"

    @property
    def go_kind(self) -> str:
        return "ptr" if self.pointer else "struct"

    def __str__(self) -> str:
        more = (f"-{self.pre}" if self.pre else "") + (f"+{self.metadata}" if self.metadata else "")
        return f"{self.major}.{self.minor}.{self.patch}{more}"

    def go_json(self) -> str:
        return str(self)

    def compare(self, other: Version) -> int:
        mine, theirs = (self.major, self.minor, self.patch), (other.major, other.minor, other.patch)
        if mine != theirs:
            return 1 if mine > theirs else -1
        if self.pre == other.pre:
            return 0
        if not self.pre or not other.pre:
            return -1 if self.pre else 1
        return _compare_pre(self.pre, other.pre)

    def _next(self, **parts: Any) -> Version:
        made = replace(self, **{"pre": "", "metadata": "", "pointer": False, **parts})
        return replace(made, original=("v" if self.original.startswith("v") else "") + str(made))

    def method(self, name: str) -> Function | None:
        if name not in _METHODS or (name in _OF_POINTERS and not self.pointer):
            return None
        parameters, result, call = _METHODS[name]
        return Function(name, parameters, lambda *given: call(self, *given), result)


def _set_pre(version: Version, pre: str) -> Version:
    for part in pre.split(".") if pre else ():
        if not part:
            raise Panic("Invalid Metadata string")
        if part.isdigit() and len(part) > 1 and part[0] == "0":
            raise Panic("Version segment starts with 0")
        if not re.fullmatch(r"[0-9A-Za-z-]+", part):
            raise Panic("Invalid Prerelease string")
    return version._next(pre=pre, metadata=version.metadata)


def _set_metadata(version: Version, metadata: str) -> Version:
    if metadata and not re.fullmatch(r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*", metadata):
        raise Panic("Invalid Metadata string")
    return version._next(pre=version.pre, metadata=metadata)


def _inc_patch(version: Version) -> Version:
    return version._next(patch=version.patch + (0 if version.pre else 1))


_OF_POINTERS = ("Original", "LessThan", "LessThanEqual", "GreaterThan", "GreaterThanEqual", "Equal", "Compare")
_P = "*semver.Version"
_METHODS: dict[str, tuple[str, str, Any]] = {
    "Major": ("", "uint64", lambda v: Int(v.major, "uint64")),
    "Minor": ("", "uint64", lambda v: Int(v.minor, "uint64")),
    "Patch": ("", "uint64", lambda v: Int(v.patch, "uint64")),
    "Prerelease": ("", "string", lambda v: v.pre),
    "Metadata": ("", "string", lambda v: v.metadata),
    "String": ("", "string", str),
    "Original": ("", "string", lambda v: v.original),
    "IncPatch": ("", "semver.Version", _inc_patch),
    "IncMinor": ("", "semver.Version", lambda v: v._next(minor=v.minor + 1, patch=0)),
    "IncMajor": ("", "semver.Version", lambda v: v._next(major=v.major + 1, minor=0, patch=0)),
    "SetPrerelease": ("string", "semver.Version", _set_pre),
    "SetMetadata": ("string", "semver.Version", _set_metadata),
    "Compare": (_P, "int", lambda v, o: v.compare(o)),
    "LessThan": (_P, "bool", lambda v, o: v.compare(o) < 0),
    "LessThanEqual": (_P, "bool", lambda v, o: v.compare(o) <= 0),
    "GreaterThan": (_P, "bool", lambda v, o: v.compare(o) > 0),
    "GreaterThanEqual": (_P, "bool", lambda v, o: v.compare(o) >= 0),
    "Equal": (_P, "bool", lambda v, o: o is not None and v.compare(o) == 0),
}


def _compare_pre(a: str, b: str) -> int:
    mine, theirs = a.split("."), b.split(".")
    for i in range(max(len(mine), len(theirs))):
        x, y = (parts[i] if i < len(parts) else "" for parts in (mine, theirs))
        if x == y:
            continue
        if not x or not y:
            return -1 if not x else 1
        if x.isdigit() and y.isdigit():
            return 1 if int(x) > int(y) else -1
        if x.isdigit() or y.isdigit():
            return -1 if x.isdigit() else 1
        return 1 if x > y else -1
    return 0


def parse(source: str) -> Version:
    found = _VERSION.match(source)
    if not found:
        raise Panic("Invalid Semantic Version")
    numbers = [int(part or 0) for part in found.groups()[:3]]
    if any(number >= 2**64 for number in numbers):
        raise Panic("Error parsing version segment: value out of range")
    return Version(numbers[0], numbers[1], numbers[2], found[4] or "", found[5] or "", source)


# -- constraints --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Constraint:
    """`>= 1.2`: the operator, the version, and which of its parts are wildcards."""

    sign: str
    version: Version
    minor_open: bool = False
    patch_open: bool = False
    open: bool = False

    def holds(self, v: Version) -> bool:
        if v.pre and not self.version.pre and (self.sign != "!=" or self.open):
            return False
        return _SIGNS[self.sign](self, v)


def _not_equal(c: _Constraint, v: Version) -> bool:
    o = c.version
    if c.open:
        if o.major != v.major:
            return True
        if o.minor != v.minor and not c.minor_open:
            return True
        if c.minor_open:
            return False
        if o.patch != v.patch and not c.patch_open:
            return True
        if c.patch_open:
            return bool(v.pre or o.pre) and _compare_pre(v.pre, o.pre) != 0
    return v.compare(o) != 0


def _greater(c: _Constraint, v: Version) -> bool:
    o = c.version
    if not c.open:
        return v.compare(o) == 1
    if v.major != o.major:
        return v.major > o.major
    if c.minor_open:
        return False
    return v.minor > o.minor if c.patch_open else v.compare(o) == 1


def _at_most(c: _Constraint, v: Version) -> bool:
    o = c.version
    if not c.open:
        return v.compare(o) <= 0
    return v.major < o.major or (v.major == o.major and (v.minor <= o.minor or c.minor_open))


def _tilde(c: _Constraint, v: Version) -> bool:
    o = c.version
    if v.compare(o) < 0:
        return False
    if (o.major, o.minor, o.patch) == (0, 0, 0) and not c.minor_open and not c.patch_open:
        return True
    return v.major == o.major and (v.minor == o.minor or c.minor_open)


def _equal(c: _Constraint, v: Version) -> bool:
    return _tilde(c, v) if c.open else v.compare(c.version) == 0


def _caret(c: _Constraint, v: Version) -> bool:
    o = c.version
    if v.compare(o) < 0:
        return False
    if o.major > 0 or c.minor_open:
        return v.major == o.major
    if v.major > 0:
        return False
    if o.minor > 0 or c.patch_open:
        return v.minor == o.minor
    return v.minor == 0 and o.patch == v.patch


_SIGNS: dict[str, Callable[[_Constraint, Version], bool]] = {
    "": _equal, "=": _equal, "!=": _not_equal, ">": _greater, "<": lambda c, v: v.compare(c.version) < 0,
    ">=": lambda c, v: v.compare(c.version) >= 0, "=>": lambda c, v: v.compare(c.version) >= 0,
    "<=": _at_most, "=<": _at_most, "~": _tilde, "~>": _tilde, "^": _caret,
}  # fmt: skip


def _constraint(sign: str, parts: tuple[str, ...]) -> _Constraint:
    major, minor, patch, pre = (part or "" for part in parts)
    minor_open = patch_open = False
    if major in ("x", "X", "*"):
        text, is_open = f"0.0.0{pre}", True
    elif minor.lstrip(".") in ("", "x", "X", "*"):
        text, is_open, minor_open = f"{major}.0.0{pre}", True, True
    elif patch.lstrip(".") in ("", "x", "X", "*"):
        text, is_open, patch_open = f"{major}{minor}.0{pre}", True, True
    else:
        text, is_open = f"{major}{minor}{patch}{pre}", False
    try:
        return _Constraint(sign, parse(text), minor_open, patch_open, is_open)
    except Panic:
        raise Panic("constraint Parser Error") from None


_RANGE = re.compile(rf"\s*({_PART})\s+-\s+({_PART})\s*")
_ONE = re.compile(rf"\s*(=>|=<|!=|>=|<=|~>|[=><~^]|)\s*{_PART}\s*")


def _all_of(source: str) -> list[_Constraint]:
    """The constraints of one part between `||`, all of which must hold."""
    found: list[_Constraint] = []
    at = 0
    while at < len(source) or not found:
        if found:
            between = re.compile(r"(?:(?<=\s)|,)\s*").match(source, at)
            if not between:
                raise Panic(f"improper constraint: {source}")
            at = between.end()
        match = _ONE.match(source, at)
        if not match:
            raise Panic(f"improper constraint: {source}")
        found.append(_constraint(match[1], match.groups()[1:5]))
        at = match.end()
    return found


def compare(constraint: str, version: str) -> bool:
    if len(constraint) > LONGEST:
        raise Panic(f"improper constraint: more than {LONGEST} characters")
    rewritten = _RANGE.sub(lambda m: f">= {m[1]}, <= {m[6]} ", constraint)
    choices = [_all_of(part) for part in rewritten.split("||")]
    wanted = parse(version)
    return any(all(c.holds(wanted) for c in part) for part in choices)


VERSIONS: dict[str, tuple[str, Any]] = {
    "semver": ("string", parse),
    "semverCompare": ("string string", compare),
}
