"""JSON Schemas: the files under ``schemas/`` that producers read, compiled to validate with.

Rules. Nothing is loaded at import. A file is ``<topic>/v<major>.json`` in Draft 2020-12, and its
formats are asserted. What is wrong with a value is told by JSON pointer and rule, and never by
the value or by a name that the sender made up: either might be somebody's address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import islice
from pathlib import Path
from typing import Any, Final

from jsonschema_rs import Draft202012Validator, ValidationError

from stream.codec.events.plain import Plain, plain_document, plain_of
from stream.domain.event import Rejection, RejectionCode

_COMPARED: Final = 64  # names, and letters of each, that are compared with known ones
_FILE: Final = re.compile(r"v([1-9][0-9]*)\.json")
_MONEY: Final = frozenset(
    ("price", "price_minor", "margin", "margin_minor", "currency", "quantity")
)
_BOUNDS: Final = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
_PHRASES: Final = {
    "enum": "is none of {0.options}",
    "minimum": "is below {0.limit}",
    "maximum": "is above {0.limit}",
    "minLength": "is shorter than {0.limit}",
    "maxLength": "is longer than {0.limit} characters",
    "minItems": "has fewer than {0.limit} members",
    "propertyNames": "has a name that is empty or too long",
    "pattern": "does not match {0.pattern}",
    "format": "is not a {0.format} of RFC 3339",
    "required": "is missing",
    "minProperties": "is empty",
    "maxProperties": "has more than {0.limit} of its fields",
    "constant": "is not {0.expected_value}",
}
_NAMES: Final = re.compile(r"\^\(([a-z_]+(?:\|[a-z_]+)*)\)\$")


@dataclass(frozen=True, slots=True)
class TopicSchema:
    """One topic's contract in one major version.

    ``is_valid`` asks the validator, and raises ValueError beyond 255 levels; ``is_plain`` whether
    a value has the first of all forms, and raises it likewise; ``fields`` are the
    names at the top level, ``names`` all that the contract itself knows, and ``limits`` say how
    many members a field may have. One that ``is_closed`` takes no fields but its own. ``plain``
    tells how what is valid is made plain.
    """

    topic: str
    major: int
    document: Mapping[str, Any]
    validator: Draft202012Validator
    is_valid: Callable[[object], bool]
    is_plain: Callable[[object], bool]
    fields: frozenset[str]
    names: frozenset[str]
    limits: Mapping[str, int]
    is_closed: bool
    plain: Plain

    def fault(self, data: object) -> Rejection:
        """Say what is wrong with ``data`` that is not valid.

        Of several faults one is named: another major version, else too many lines, else a wrong
        form, else a value out of range. Nesting beyond 255 levels is a fault of decoding.
        """
        if not isinstance(data, dict):
            return Rejection(RejectionCode.SCHEMA, "the value is not of type object")
        if self._is_other_version(data.get("schema_version")):
            return Rejection(RejectionCode.SCHEMA_VERSION, f"/schema_version is not {self.major}")
        # Errors are found eagerly and carry what they are about: none is looked for in what nobody
        # knows, or in what is too much anyway.
        known = {name: value for name, value in data.items() if name in self.fields}
        if self.is_closed and len(known) < len(data):
            return _unknown("", data, self.fields)
        for name, limit in self.limits.items():
            if isinstance(known.get(name), list | dict) and len(known[name]) > limit:
                code = RejectionCode.OVERSIZE if name == "products" else RejectionCode.SCHEMA
                return Rejection(code, f"/{name} has more than {limit} members")
        try:
            faults = [self._rejection(error) for error in self.errors(known)]
        except ValueError:  # jsonschema-rs reads no further than 255 levels
            faults = []
        deep = Rejection(RejectionCode.DECODE, "the value is nested too deeply")
        return min(faults, key=lambda fault: fault.code is not RejectionCode.SCHEMA, default=deep)

    def errors(self, data: object) -> Iterator[ValidationError]:
        """What breaks the contract; of several forms, what breaks the one that was meant.

        Raises
        ------
        ValueError
            It is nested beyond 255 levels.
        """
        for error in self.validator.iter_errors(data):
            yield from _meant(error)

    def _is_other_version(self, version: object) -> bool:
        if isinstance(version, str):
            return version != "" and version.partition(".")[0] != str(self.major)
        return type(version) in (int, float) and version != self.major

    def _rejection(self, error: ValidationError) -> Rejection:
        path = list(error.instance_path)
        kind: Any = error.kind
        rule = kind.name
        if rule == "additionalProperties":
            return _unknown(self._pointer(path, ""), kind.unexpected, self.known_at(error))
        if rule == "required":
            path.append(kind.property)
        field = next((step for step in reversed(path) if isinstance(step, str)), "")
        if rule in _BOUNDS or (field in _MONEY and rule not in ("type", "required")):
            code = RejectionCode.VALUE_RANGE
        else:
            code = RejectionCode.SCHEMA
        return Rejection(code, f"{self._pointer(path)} {_phrase(rule, kind)}")

    def known_at(self, error: ValidationError) -> frozenset[str]:
        """The names that an object knows which has one more."""
        return frozenset(self.node_of(error).get("properties", ()))

    def node_of(self, error: ValidationError) -> Mapping[str, Any]:
        """The part of the contract that a value breaks."""
        node: Any = self.document
        for step in list(error.schema_path)[:-1]:
            node = node[step]
        return node  # type: ignore[no-any-return]

    def told(self, error: ValidationError) -> str:
        """What is wrong, for who wrote the value and sees it: without a pointer to it."""
        kind: Any = error.kind
        words = _phrase(kind.name, kind)
        return f"{kind.property} {words}" if kind.name == "required" else words

    def _pointer(self, path: list[str | int], whole: str = "the value") -> str:
        known = (step if isinstance(step, int) or step in self.names else "*" for step in path)
        return "".join(f"/{step}" for step in known) or whole


@dataclass(frozen=True, slots=True)
class Schemas:
    """Every contract, by topic and major version."""

    by_version: Mapping[tuple[str, int], TopicSchema]

    def of(self, topic: str, major: int = 1) -> TopicSchema:
        """Return one contract; KeyError where there is none."""
        return self.by_version[topic, major]

    def majors(self, topic: str) -> frozenset[int]:
        """Return the major versions that ``topic`` is understood in."""
        return frozenset(major for name, major in self.by_version if name == topic)


def load_schemas(root: Traversable | None = None) -> Schemas:
    """Read and compile every ``<topic>/v<major>.json`` below ``root``.

    Parameters
    ----------
    root
        A folder; None takes the schemas that came with this package.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    loaded = {}
    for folder in (root or schemas_root()).iterdir():
        for file in folder.iterdir() if folder.is_dir() else ():
            if match := _FILE.fullmatch(file.name):
                schema = _compile(folder.name, int(match[1]), json.loads(file.read_bytes()))
                loaded[schema.topic, schema.major] = schema
    return Schemas(loaded)


def schemas_root() -> Traversable:
    """Return the folder of the schemas: in the package if installed, else in the repository."""
    packaged = files("stream") / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"


def _meant(error: ValidationError) -> Iterator[ValidationError]:
    """What breaks the form that was meant: the first of the value's own type, else the first."""
    if error.kind.name != "anyOf":
        yield error
        return
    kind: Any = error.kind
    forms: list[list[ValidationError]] = kind.context
    for one in next((form for form in forms if not _is_another_kind(form)), forms[0]):
        yield from _meant(one)


def _is_another_kind(form: list[ValidationError]) -> bool:
    return any(one.kind.name in ("type", "constant", "const", "required") for one in form)


def _compile(topic: str, major: int, document: dict[str, Any]) -> TopicSchema:
    validator, plain = [
        Draft202012Validator(one, validate_formats=True, offline=True)
        for one in (document, plain_document(document))
    ]
    return TopicSchema(
        topic,
        major,
        document,
        validator,
        validator.is_valid,
        plain.is_valid,
        frozenset(document["properties"]),
        frozenset(_names(document)),
        dict(_limits(document["properties"])),
        document.get("additionalProperties") is False,
        plain_of(document),
    )


def _limits(properties: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, rules in properties.items():
        for rule in ("maxItems", "maxProperties"):
            if rule in rules:
                yield name, rules[rule]


def _phrase(rule: str, kind: Any) -> str:
    if rule == "pattern" and (names := _NAMES.fullmatch(kind.pattern)):
        return "is none of " + ", ".join(names[1].split("|"))
    if rule == "type":
        return "is not of type " + " or ".join(sorted(set(kind.types) - {"null"}))
    return _PHRASES.get(rule, "breaks the rule " + rule).format(kind)


def _unknown(at: str, names: Iterable[str], known: Iterable[str]) -> Rejection:
    """Say that an object has a field that nobody knows, and what it may have been meant to be."""
    strange = sorted(set(names) - set(known))
    near = nearest(strange, known)
    meant = f": {at}/{near} is nearest" if near else ""
    return Rejection(RejectionCode.SCHEMA, f"{at or 'the value'} has an unknown field{meant}")


def nearest(strange: Iterable[str], known: Iterable[str]) -> str | None:
    """The known name that one of some strange names was most likely meant to be.

    >>> nearest(["traist"], ["traits", "profile"]), nearest(["x"], ["traits"])
    ('traits', None)
    """
    names = sorted(known)
    for name in islice(strange, _COMPARED):
        if found := get_close_matches(name[:_COMPARED].lower(), names, 1):
            return found[0]
    return None


def _names(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for child in node.values():
            yield from _names(child)
