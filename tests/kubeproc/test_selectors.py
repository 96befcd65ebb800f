from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc import selectors
from kubeproc.api_errors import ApiError


def matches(selector: str, **labels: str) -> bool:
    match = selectors.labels(selector)
    return match is None or match({"metadata": {"labels": labels}})


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a = b , c", {"a": "b", "c": ""}, True),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a in (b, c)", {"a": "c"}, True),
        ("a in (b,c)", {}, False),
        ("a notin (b,c)", {}, True),
        ("a notin (b,c)", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("! a", {}, True),
        ("a=", {"a": ""}, True),
        ("x.io/a=b,x.io/c in (d,e),f", {"x.io/a": "b", "x.io/c": "e", "f": "g"}, True),
        ("a in (b,c),d=e", {"a": "b"}, False),
        ("a>1", {"a": "2"}, True),
        ("a<1", {"a": "2"}, False),
        ("a>1", {"a": "x"}, False),
        ("a in (,b)", {"a": ""}, True),
    ],
)
def test_label_selectors_hold_for_all_their_parts(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert matches(selector, **labels) is expected


@pytest.mark.parametrize("selector", ["a=b=c", "a in b", "a in (b", ",", "a,,b", "=b", "-a", "a in ()x", "(a)", "a b"])
def test_an_invalid_label_selector_is_refused(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        selectors.labels(selector)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
    ],
)
def test_a_wrong_label_selector_is_refused_in_the_words_of_a_real_server(selector: str, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        selectors.labels(selector)
    assert refused.value.message == words


KEYS, VALUES = st.sampled_from(["a", "b", "x.io/c"]), st.sampled_from(["", "1", "two"])


@given(st.dictionaries(KEYS, VALUES), KEYS, st.lists(VALUES, min_size=1))
def test_what_a_selector_excludes_is_what_its_opposite_includes(labels: dict, key: str, values: list[str]) -> None:
    inside, outside = f"{key} in ({','.join(values)})", f"{key} notin ({','.join(values)})"
    assert matches(inside, **labels) is not matches(outside, **labels)
    assert matches(key, **labels) is not matches("!" + key, **labels)
    assert matches(f"{key}={values[0]}", **labels) is not matches(f"{key}!={values[0]}", **labels)


@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES), KEYS, st.lists(VALUES, min_size=1))
def test_the_two_forms_of_a_selector_agree(labels: dict, wanted: dict, key: str, values: list[str]) -> None:
    expressions = [{"key": key, "operator": "In", "values": values}]
    spec = selectors.from_spec({"matchLabels": wanted, "matchExpressions": expressions})
    text = ",".join([*(f"{k}={v}" for k, v in wanted.items()), f"{key} in ({','.join(values)})"])
    assert spec({"metadata": {"labels": labels}}) is matches(text, **labels)


@pytest.mark.parametrize(
    ("resource", "selector", "expected"),
    [
        ("pods", "status.phase=Running", True),
        ("pods", "status.phase!=Running", False),
        ("pods", "spec.nodeName=", True),
        ("pods", "metadata.name=p,metadata.namespace==default", True),
        ("pods", "", True),
        ("events", "involvedObject.name=", True),
    ],
)
def test_field_selectors_look_at_the_fields_of_their_kind(resource: str, selector: str, expected: bool) -> None:
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {}, "status": {"phase": "Running"}}
    match = selectors.fields(resource, selector)
    assert (match is None or match(pod)) is expected


@pytest.mark.parametrize(
    ("resource", "selector"), [("pods", "spec.image=x"), ("configmaps", "status.phase=x"), ("pods", "x")]
)
def test_a_field_that_cannot_be_selected_is_refused(resource: str, selector: str) -> None:
    with pytest.raises(ApiError, match=r"field label not supported|not a known field selector|invalid selector"):
        selectors.fields(resource, selector)


# Each outcome is that of k8s.io/apimachinery 0.34's own parser.
@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (",metadata.name=p", True),
        ("metadata.name=p,", True),
        ("metadata.name=p,,metadata.name!=q", True),
        (",", True),
        ("=", True),
        (r"metadata.name=p\,q", False),
        (r"metadata.name!=a\=b", True),
    ],
)
def test_empty_terms_of_a_field_selector_do_not_count(selector: str, expected: bool) -> None:
    match = selectors.fields("pods", selector)
    assert (match is None or match({"metadata": {"name": "p"}})) is expected


@pytest.mark.parametrize("value", [r"a,b", "a=b", "a\\b", "a\\", ",=\\"])
def test_a_value_of_a_field_selector_may_be_escaped(value: str) -> None:
    escaped = re.sub(r"([\\,=])", r"\\\1", value)
    match = selectors.fields("events", f"reason={escaped}")
    assert match is not None
    assert match({"reason": value})
    assert not match({"reason": value + "x"})


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("NAME", "invalid selector: 'NAME'; can't understand 'NAME'"),
        (" ,metadata.name=p", "invalid selector: ' ,metadata.name=p'; can't understand ' '"),
        ("metadata.name=p=q", "invalid field selector: unescaped character in value: 61"),
        (r"metadata.name=a\bc", r"invalid field selector: invalid escape sequence: \b"),
        ("metadata.name=a\\", "invalid field selector: invalid escape sequence: \\"),
        (" metadata.name=p", "field label not supported:  metadata.name"),
    ],
)
def test_a_malformed_field_selector_is_refused(selector: str, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        selectors.fields("pods", selector)
    assert refused.value.message == words
