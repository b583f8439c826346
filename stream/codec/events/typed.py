"""A contract as types that msgspec decodes into: what they take keeps the contract.

Rules. The types are made from the JSON Schema's own words, so that no bound is said twice. They may
take less than the schema does, and never more; what they refuse is for the schema to judge:

- an object has no names but its own, so that nobody need count the others
- an integer has no fraction, not even a zero
- what ``then`` demands is demanded of all
- of several forms, under ``anyOf``, the first is taken; an object in a list has no names but that
  form's, so that nothing is made room for in every line of an order
- a text that has to match a pattern is, where its spellings are given, one of these
- whether a time is a date-time is left for who decodes to see: no type tells as quickly

A schema with a word that is not known here has no types.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

Node: TypeAlias = Mapping[str, Any]
Spellings: TypeAlias = Mapping[str, Iterable[str]]

_TEXT: Final = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
_LIST: Final = {"minItems": "min_length", "maxItems": "max_length"}
_MAP: Final = {"minProperties": "min_length", "maxProperties": "max_length"}
_TOLD: Final = ("$schema", "$id", "$defs", "$ref", "title", "description", "type")
_OBJECT: Final = {*_TOLD, "required", "properties", "if", "then", "anyOf"}
_NUMBER: Final = ("minimum", "maximum")
_SHAPE: Final = ("format", "items", "propertyNames", "additionalProperties")
_SEEN: Final = {"timestamp": "date-time"}
_VALUE: Final = {*_TOLD, *_SHAPE, *_TEXT, *_NUMBER, *_LIST, *_MAP}


class FieldTypes(NamedTuple):
    """The fields of an object as the attributes of two types, None where one is absent.

    ``exact`` takes only what keeps the contract, ``loose`` anything; ``names`` are the fields'
    names, and ``rows`` the fields of the objects in its lists, by the list's name.
    """

    exact: type[Struct]
    loose: type[Struct]
    names: frozenset[str]
    rows: Mapping[str, FieldTypes]

    def and_strange(self, names: Sequence[str]) -> type[Struct]:
        """Return ``exact`` with attributes more, for fields that nobody knows.

        Their values are scalars, or lists or objects of such, or of those; UNSET is what is absent.
        """
        places = [f"strange_{number}" for number, _ in enumerate(names)]
        return defstruct(
            self.exact.__name__,
            [(place, _STRANGE, UNSET) for place in places],
            bases=(self.exact,),
            rename=dict(zip(places, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )


def fields_of(schema: Node, spellings: Spellings) -> FieldTypes:
    """Return the fields of what a schema describes.

    Parameters
    ----------
    schema
        A JSON Schema of an object.
    spellings
        The usual texts of fields that have a pattern, by the field's name.

    Raises
    ------
    ValueError
        If the schema has a word that is not known here.

    Examples
    --------
    >>> import msgspec
    >>> digit = {"type": ["integer", "null"], "minimum": 0, "maximum": 9}
    >>> kind = fields_of({"title": "Digit", "properties": {"n": digit}}, {}).exact
    >>> msgspec.json.decode('{"n":7}', type=kind), msgspec.json.decode("{}", type=kind)
    (Digit(n=7), Digit(n=None))
    """
    return _Maker(schema.get("$defs", {}), spellings, {}).fields(schema["title"], schema)


class _Maker(NamedTuple):
    """Makes types of a schema's nodes; ``rows`` are those of the lists around."""

    definitions: Node
    spellings: Spellings
    rows: Mapping[str, FieldTypes]

    def fields(self, title: str, node: Node, spare: Collection[str] = ()) -> FieldTypes:
        """The fields of an object; those that are ``spare`` are none of the exact type's."""
        _check(node, _OBJECT)
        then = node.get("then", {})
        nodes = {name: self._node(child) for name, child in node["properties"].items()}
        for name, demand in then.get("properties", {}).items():
            nodes[name] = _both(nodes[name], demand)
        first = _first(node) if "anyOf" in node else {}
        _check(first, {"required", "properties"})
        for name, demand in first.get("properties", {}).items():
            nodes[name] = self._node(demand)  # of the forms that the field has, one
        required = {name for part in (node, then, first) for name in part.get("required", ())}
        order = sorted(nodes, key=lambda name: name not in required)
        lists = ((name, child["items"]) for name, child in nodes.items() if "items" in child)
        rows = {name: self.fields(name, child, _others(child)) for name, child in lists}
        maker = self._replace(rows=rows)
        exact: list[Any] = [
            (name, maker.type(name, nodes[name]), *(() if name in required else (None,)))
            for name in order
            if name not in spare
        ]
        loose: list[Any] = [
            (name, _list_of(rows[name].loose) | None if name in rows else Any, None)
            for name in order
        ]
        return FieldTypes(
            defstruct(title, exact, forbid_unknown_fields=True, gc=False),
            defstruct(title, loose, gc=False),
            frozenset(nodes),
            rows,
        )

    def type(self, name: str, node: Node) -> Any:
        """The type of a field's values."""
        if "enum" in node:
            _check(node, {*_TOLD, "enum"})
            return Literal[*node["enum"]]
        if "properties" not in node:
            _check(node, _VALUE)
        return reduce(or_, (self._one(kind, name, node) for kind in _kinds(node)))

    def _one(self, kind: str, name: str, node: Node) -> Any:
        match kind:
            case "null":
                return None
            case "boolean":
                return bool
            case "integer":
                return _number(int, node)
            case "number":
                return _number(int, node) | _number(float, node)
            case "string":
                return self._text(name, node)
            case "array":
                return _bounded(_list_of(self.rows[name].exact), node, _LIST)
            case "object" if "properties" in node:
                return self.fields(name, node).exact
            case "object":
                _check(node["propertyNames"], {*_TEXT})
                names = _bounded(str, node["propertyNames"], _TEXT)
                values = self.type("", node["additionalProperties"])
                return _bounded(GenericAlias(dict, (names, values)), node, _MAP)
        raise ValueError(f"no type is known for {kind}")

    def _text(self, name: str, node: Node) -> Any:
        if node.get("format") not in (None, _SEEN.get(name)):
            raise ValueError(f"no type is known for {node['format']}")
        if name in self.spellings and "pattern" in node:
            known = (text for text in self.spellings[name] if re.search(node["pattern"], text))
            return Literal[*known]
        return _bounded(str, node, _TEXT)

    def _node(self, node: Node) -> Node:
        """A node with what it refers to, in the first of its forms."""
        if reference := node.get("$ref", "").removeprefix("#/$defs/"):
            return _both(self._node(self.definitions[reference]), node)
        if "anyOf" not in node:
            return node
        rest = {word: said for word, said in node.items() if word != "anyOf"}
        return _both(self._node(_first(node)), rest)


def _first(node: Node) -> Node:
    """The first form of several."""
    if not node["anyOf"]:
        raise ValueError("no type is known for no form")
    first: Node = node["anyOf"][0]
    return first


def _others(node: Node) -> set[str]:
    """The fields that forms beside the first demand."""
    return {name for form in node.get("anyOf", ())[1:] for name in form.get("required", ())}


def _check(node: Node, known: Collection[str]) -> None:
    if unknown := node.keys() - known:
        raise ValueError(f"no type is known for {sorted(unknown)}")


def _both(node: Node, demand: Node) -> Node:
    """What keeps two nodes that do not speak of the same bounds."""
    if clash := node.keys() & demand.keys() - {*_TOLD}:
        raise ValueError(f"a field has two rules for {sorted(clash)}")
    both = {**node, **demand}
    return both | {"type": [kind for kind in _kinds(node) if kind in _kinds(both)]}


def _kinds(node: Node) -> list[str]:
    kinds = node["type"]
    return [kinds] if isinstance(kinds, str) else kinds


def _list_of(kind: Any) -> Any:
    return GenericAlias(list, (kind,))


def _number(kind: type, node: Node) -> Any:
    """A number has bounds on both sides: beyond 64 bits, readers of JSON differ."""
    return Annotated[kind, Meta(ge=node["minimum"], le=node["maximum"])]


def _bounded(kind: Any, node: Node, words: Mapping[str, str]) -> Any:
    bounds = {ours: node[theirs] for theirs, ours in words.items() if theirs in node}
    return Annotated[kind, Meta(**bounds)] if bounds else kind


def _or_some(kind: Any) -> Any:
    return _SCALAR | _list_of(kind) | GenericAlias(dict, (str, kind))


_LONG: Final = {"minimum": -(2**63), "maximum": 2**63 - 1}
_SCALAR: Final = _number(int, _LONG) | float | str | bool | None
_STRANGE: Final = _or_some(_or_some(_SCALAR)) | UnsetType
