"""`{{tags}}`: Argo substitutes over the JSON text of a template, not over its values.

Mechanism. The object is marshalled, each `{{tag}}` in the text is replaced by its value, escaped as the inside of a
JSON string, and the text is parsed again; so a tag can be in a key, in the middle of a word, or inside another tag
(`{{inputs.parameters.{{item}}}}` becomes a new tag for the next pass). A simple tag names a variable; `{{=...}}` is an
expression over all variables. An unresolved tag remains if the caller allows it, since a later pass may resolve it (a
step's item, a retry's number), and is an error otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from kubeproc.argo.language import expressions, marshal
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.expressions import ExpressionError
from kubeproc.argo.language.quoting import quote
from kubeproc.store import dump, load

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class TemplateError(Exception):
    """A tag that cannot be resolved, or a substitution that breaks the JSON around it; the message is Argo's."""


def replace(obj: Any, variables: Mapping[str, Any], *, unresolved: bool) -> Any:
    """The object with its tags substituted; itself, not a copy, if it has none. TemplateError if a tag has no value and
    `unresolved` ones are not allowed."""
    if b"{{" not in dump(obj):
        return obj
    source = json.dumps(obj, ensure_ascii=False, separators=(",", ":"))
    result = replace_text(source, variables, unresolved=unresolved)
    if result == source:
        return obj
    try:
        return load(result)
    except ValueError:
        raise TemplateError("cannot finish template replacement because the result was invalid JSON") from None


def replace_text(source: str, variables: Mapping[str, Any], *, unresolved: bool) -> str:
    """Substitute in a text that is JSON."""
    if "{{" not in source:
        return source
    _check_ends(source)
    environment: expressions.Environment | None = None

    def value(match: re.Match[str]) -> str:
        nonlocal environment
        tag = match[1]
        if tag.startswith("="):
            environment = environment or expressions.environment(variables)
            return _expression(tag[1:], environment, variables, unresolved)
        return _simple(tag, variables, unresolved)

    return _TAG.sub(value, source)


def _check_ends(source: str) -> None:
    """TemplateError if a tag is not closed."""
    at = 0
    while (start := source.find("{{", at)) >= 0:
        end = source.find("}}", start + 2)
        if end < 0:
            rest = source[start + 2 :]
            raise TemplateError(
                f'Cannot find end tag="}}}}" in the template={quote(source)} starting from {quote(rest)}'
            )
        at = end + 2


def _quoted(value: str) -> str:
    """The text as Go quotes it: a control character that JSON escapes differently breaks the JSON, as in Argo."""
    return quote(value)[1:-1]


def _simple(tag: str, variables: Mapping[str, Any], unresolved: bool) -> str:
    name = tag.strip()
    if name in variables:
        if not isinstance(variables[name], str):
            raise TemplateError(f"failed to resolve {{{{{tag}}}}} to string")
        return _quoted(variables[name])
    start = tag.rfind("{{")
    if start > 0 and isinstance(variables.get(tag[start + 2 :]), str):
        return "{{" + tag[:start] + _quoted(variables[tag[start + 2 :]])
    if unresolved:
        return "{{" + tag + "}}"
    raise TemplateError(f"failed to resolve {{{{{tag}}}}}")


def _expression(
    source: str, environment: expressions.Environment, variables: Mapping[str, Any], unresolved: bool
) -> str:
    kept = "{{=" + source + "}}"
    try:
        plain = json.loads(f'"{source}"', strict=False)
    except ValueError as error:
        if unresolved:
            return kept
        raise TemplateError(f"failed to unmarshall JSON expression: {error}") from None
    try:
        if unresolved and expressions.waits_for(plain, variables):
            return kept
        result = expressions.evaluate(plain, environment)
        if result is not None:
            return _marshalled(result)
    except ExpressionError as error:
        if unresolved:
            return kept
        raise TemplateError(f"failed to evaluate expression: {error}") from None
    except Panic as error:
        if unresolved:
            return kept
        raise TemplateError(f"failed to marshal evaluated expression: {error}") from None
    except expressions.NotSupported as error:
        raise TemplateError(str(error)) from None
    if unresolved:
        return kept
    raise TemplateError(f"failed to evaluate expression {quote(source)}")


def _marshalled(result: Any) -> str:
    """A result as the inside of a JSON string: a string as it is, anything else as JSON text."""
    made = marshal.marshal(result)
    return made[1:-1] if made.startswith('"') else _quoted(made)


def tags(source: str) -> list[str]:
    """The simple tags of a JSON text, as written."""
    return [tag for tag in _TAG.findall(source) if not tag.startswith("=")]


def each_tag(source: str, check: Callable[[str], None]) -> None:
    """Call `check` for each simple tag of the text; TemplateError if a tag is not closed."""
    _check_ends(source)
    for tag in tags(source):
        check(tag)
