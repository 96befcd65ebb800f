"""Substitution of tags: escaping, nesting, what stays for later, and what is an error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.argo.language.templating import TemplateError, replace, replace_text


def test_a_value_is_escaped_as_the_inside_of_a_json_string() -> None:
    tricky = 'a "quoted"\nline \\ and {braces}'
    assert replace({"args": ["x {{v}} y"]}, {"v": tricky}, unresolved=False) == {"args": [f"x {tricky} y"]}


def test_keys_are_substituted_too_and_blanks_do_not_matter() -> None:
    assert replace({"{{ k }}": 1}, {"k": "name"}, unresolved=False) == {"name": 1}


def test_a_tag_inside_a_tag_becomes_a_new_tag_for_the_next_pass() -> None:
    variables = {"item": "a", "inputs.parameters.a": "found"}
    once = replace(["{{inputs.parameters.{{item}}}}"], variables, unresolved=True)
    assert once == ["{{inputs.parameters.a}}"]
    assert replace(once, variables, unresolved=True) == ["found"]


def test_what_has_no_value_stays_or_is_an_error() -> None:
    assert replace(["{{item}} {{=item}}"], {}, unresolved=True) == ["{{item}} {{=item}}"]
    with pytest.raises(TemplateError, match=r"failed to resolve \{\{item\}\}"):
        replace(["{{item}}"], {}, unresolved=False)
    with pytest.raises(TemplateError, match="failed to evaluate expression: unknown name item"):
        replace(["{{=item}}"], {}, unresolved=False)


def test_an_expression_gives_text_or_json() -> None:
    assert replace(["{{=asInt(n) + 1}}"], {"n": "1"}, unresolved=False) == ["2"]
    assert replace(["{{='a' + \"b\"}}"], {}, unresolved=False) == ["ab"]
    assert replace(["{{=[1, {'a': \"x\"}]}}"], {}, unresolved=False) == ['[1,{"a":"x"}]']


def test_an_expression_that_names_the_workflows_status_waits_for_it() -> None:
    source = ["{{=workflow.status == 'Succeeded'}}"]
    assert replace(source, {"workflow.name": "w"}, unresolved=True) == source
    assert replace(source, {"workflow.status": "Succeeded"}, unresolved=True) == ["true"]


def test_an_open_tag_is_an_error() -> None:
    with pytest.raises(TemplateError, match='Cannot find end tag="}}"'):
        replace(["{{open"], {}, unresolved=True)


@given(st.recursive(st.text(max_size=8), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x)))
def test_what_has_no_tags_is_not_changed(obj: object) -> None:
    if "{{" not in json.dumps(obj):
        assert replace(obj, {"a": "b"}, unresolved=False) is obj


@given(st.text(), st.text(max_size=10), st.text(max_size=10))
def test_any_value_arrives_unchanged(value: str, before: str, after: str) -> None:
    if "{" in before + after or "}" in before + after:
        return
    if not all(char.isprintable() or char in "\n\t\r" for char in value):
        return  # Go writes such a character in a way that is no JSON, or else in the same way
    assert replace([before + "{{v}}" + after], {"v": value}, unresolved=False) == [before + value + after]


@given(st.text(alphabet="{}=ab.'\" +1", max_size=30))
def test_any_text_is_substituted_or_refused(text: str) -> None:
    try:
        result = replace([text], {"a": "1", "a.b": "2"}, unresolved=True)
        assert isinstance(result, list)
    except TemplateError:
        pass


def test_text_without_tags_is_returned_as_it_is() -> None:
    assert replace_text('["plain"]', {}, unresolved=False) == '["plain"]'


def test_a_character_that_go_quotes_in_its_own_way_breaks_the_json() -> None:
    """As it does in Argo: a terminal's colours can't be handed over."""
    with pytest.raises(TemplateError, match="cannot finish template replacement because the result was invalid JSON"):
        replace("{{v}}", {"v": "\x1b[31mred"}, unresolved=True)
