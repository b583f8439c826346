"""Types of a contract: they take what keeps it, and a contract that they can't keep has none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stream.codec.events.typed import fields_of

NUMBER = {"type": "integer", "minimum": 0, "maximum": 9}


def takes(value: bytes, node: dict[str, Any], **beside: Any) -> bool:
    """Whether the type of an object with one field, ``n``, takes a value."""
    schema = {"title": "One", "properties": {"n": node}} | beside
    kind = fields_of(schema, {"n": ("1", "1.0", "2")}).exact
    try:
        msgspec.json.decode(b'{"n":' + value + b"}", type=kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("node", "inside", "outside"),
    [
        (NUMBER, [b"0", b"9"], [b"-1", b"10", b"1.0", b"true", b'"1"', b"null"]),
        (NUMBER | {"type": ["number", "null"]}, [b"0.5", b"9", b"null"], [b"9.1", b"-0.1"]),
        ({"type": "string", "minLength": 1, "maxLength": 2}, [b'"a"', b'"ab"'], [b'""', b'"abc"']),
        ({"type": "string", "pattern": "^1"}, [b'"1"', b'"1.0"'], [b'"2"', b'"1.5"']),
        ({"enum": ["a", "b"]}, [b'"a"'], [b'"A"', b"null"]),
        ({"type": "boolean"}, [b"true"], [b"1", b'"true"']),
    ],
)
def test_bounds_are_the_schemas(
    node: dict[str, Any], inside: list[bytes], outside: list[bytes]
) -> None:
    assert all(takes(value, node) for value in inside)
    assert not any(takes(value, node) for value in outside)


def test_what_then_demands_is_demanded_of_all() -> None:
    node = NUMBER | {"type": ["integer", "null"]}
    then = {"required": ["n"], "properties": {"n": {"type": "integer"}}}
    assert takes(b"null", node)
    assert not takes(b"null", node, then=then)
    with pytest.raises(ValueError, match="two rules"):
        takes(b"1", node, then={"properties": {"n": {"maximum": 99}}})


def test_of_several_forms_the_first_is_taken() -> None:
    digits = {"anyOf": [{"$ref": "#/$defs/digit"}, {"type": "string"}]}
    beside = {"$defs": {"digit": NUMBER}}
    assert takes(b"7", digits, **beside)
    assert not takes(b'"7"', digits, **beside)
    beside["$defs"]["digits"] = digits
    assert not takes(b'"7"', {"$ref": "#/$defs/digits", "description": "some"}, **beside)


def test_of_several_demands_the_first_is_made() -> None:
    node = NUMBER | {"type": ["integer", "null"]}
    forms = [{"required": ["n"], "properties": {"n": NUMBER}}, {"required": ["m"]}]
    assert not takes(b"null", node, anyOf=forms)
    with pytest.raises(ValueError, match="no type"):
        takes(b"1", node, anyOf=[{"minProperties": 1}])


@pytest.mark.parametrize(
    "word", [{"multipleOf": 2}, {"not": {}}, {"const": 1}, {"anyOf": []}, {"exclusiveMinimum": 0}]
)
def test_a_schema_with_an_unknown_word_has_no_type(word: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no type"):
        takes(b"1", NUMBER | word)
    with pytest.raises(ValueError, match="no type"):
        takes(b"1", NUMBER, **word)


def test_a_format_that_nobody_sees_to_has_no_type() -> None:
    with pytest.raises(ValueError, match="no type"):
        takes(b'"a"', {"type": "string", "format": "date-time"})


def test_strange_fields_have_attributes_beside_the_known() -> None:
    fields = fields_of({"title": "One", "properties": {"n": NUMBER}}, {})
    found = msgspec.json.decode(b'{"a b":[1,{"x":2}],"n":7}', type=fields.and_strange(["a b", "c"]))
    assert msgspec.structs.astuple(found) == (7, [1, {"x": 2}], msgspec.UNSET)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"d":1}', type=type(found))
