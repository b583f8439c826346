"""The lenient forms that a contract takes → the plain ones that readers read.

Rules. A field that takes more than one form has them under ``anyOf`` in its JSON Schema, the plain
one first. What a value becomes follows from that:

- a number where the plain form is a text becomes its digits, and a text of digits where it is a
  number becomes that number; so do milliseconds
- an empty text is absent, unless it is a text that may be empty
- a currency is in capitals
- where there is no ``product_id``, ``sku`` stands for it, else ``variant_id``, else ``variant``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

Node: TypeAlias = Mapping[str, Any]

PRODUCT: Final = "product_id"
STAND_INS: Final = ("sku", "variant_id", "variant")
"""What stands for a product's id where there is none, the first before the others."""


class Form(NamedTuple):
    """How a field is made plain; values of these types are so already, unless they are empty."""

    plain: frozenset[type]
    make: Callable[[Any], Any]


class Plain(NamedTuple):
    """How an object is made plain: its fields' forms, and those of the objects in its lists."""

    forms: Mapping[str, Form]
    rows: Mapping[str, Plain]
    is_product: bool

    def make(self, data: dict[str, Any]) -> None:
        """Make a valid object plain, in place."""
        forms = self.forms
        for name, value in data.items():
            form = forms.get(name)
            if form is not None and (type(value) not in form.plain or value == ""):
                data[name] = form.make(value)
        if self.is_product and not data.get(PRODUCT):
            found = next((data[name] for name in STAND_INS if data.get(name)), None)
            if found is not None:
                data[PRODUCT] = found
        for name, row in self.rows.items():
            for one in data.get(name) or ():
                row.make(one)


def plain_of(document: Node) -> Plain:
    """Return how the objects of a contract are made plain.

    Examples
    --------
    >>> digits = {"anyOf": [{"type": ["integer", "null"]}, {"type": "string"}]}
    >>> data = {"n": "12", "x": "12"}
    >>> plain_of({"properties": {"n": digits}}).make(data)
    >>> data
    {'n': 12, 'x': '12'}
    """
    return _plain(document, document.get("$defs", {}))


def plain_document(node: Any) -> Any:
    """Return a contract that takes the first of several forms alone: what it takes is plain.

    >>> plain_document({"n": {"anyOf": [{"type": "integer"}, {"const": ""}]}})
    {'n': {'allOf': [{'type': 'integer'}]}}
    """
    if isinstance(node, list):
        return [plain_document(child) for child in node]
    if not isinstance(node, dict):
        return node
    made = {word: plain_document(said) for word, said in node.items() if word != "anyOf"}
    return made | ({"allOf": [plain_document(node["anyOf"][0])]} if "anyOf" in node else {})


def _plain(node: Node, definitions: Node) -> Plain:
    properties = node["properties"]
    forms = {name: _form(name, child, definitions) for name, child in properties.items()}
    return Plain(
        {name: form for name, form in forms.items() if form is not None},
        {
            name: _plain(child["items"], definitions)
            for name, child in properties.items()
            if "properties" in child.get("items", {})
        },
        STAND_INS[0] in properties,
    )


def _form(name: str, node: Node, definitions: Node) -> Form | None:
    node = resolved(node, definitions)
    if "anyOf" not in node:
        return None
    first = resolved(node["anyOf"][0], definitions)
    kinds = set(first["type"]) if isinstance(first["type"], list) else {first["type"]}
    if name == "currency":
        return Form(frozenset(), _capitals)
    if first.get("format") == "date-time":
        return Form(frozenset((int,)), _time)
    if "string" not in kinds:
        return Form(frozenset((int, float)), _whole)
    if kinds & {"integer", "number"}:
        return Form(frozenset((int, float, str)), _present)
    return Form(frozenset((str,)), _present_text if {"const": ""} in node["anyOf"] else text)


def resolved(node: Node, definitions: Node) -> Node:
    """A node, or the definition that it refers to."""
    reference = node.get("$ref", "").removeprefix("#/$defs/")
    return definitions[reference] if reference else node


def text(value: Any) -> Any:
    """Return a number as its digits, and anything else as it is.

    >>> text(17850), text(17850.0), text(1.5), text("x"), text(None)
    ('17850', '17850', '1.5', 'x', None)
    """
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if value.is_integer() else repr(value)
    return value


def _present(value: Any) -> Any:
    return None if value == "" else value


def _present_text(value: Any) -> Any:
    return text(value) or None


def _whole(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return int(value.partition(".")[0]) if value else None


def _time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return int(value) if value.isdecimal() else value or None


def _capitals(value: Any) -> Any:
    return value.upper() or None if isinstance(value, str) else value
