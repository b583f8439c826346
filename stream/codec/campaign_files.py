"""Campaigns as files: YAML that marketers write, with the line of whatever is wrong.

Rules. A file holds one campaign, by ``schemas/campaigns``: the very contract of the topic. Its
``campaign_id`` may be left out, and is then the file's name. Scalars are those of YAML 1.2, so that
``22:30``, ``no`` and a date are the texts that they look like. A fault names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import orjson
import yaml
from jsonschema_rs import ValidationError

from stream.codec.reference import ReferenceDecoder, ReferenceEntry
from stream.codec.schema import TopicSchema, nearest
from stream.domain.campaign import TIMED
from stream.domain.event import Campaign

SUFFIXES: Final = (".yaml", ".yml")
MOST_BYTES: Final = 1 << 20
_DEEPEST: Final = 64  # of nesting
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Fault(NamedTuple):
    """What is wrong, and where; lines count from 1."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


class FileFault(Exception):
    """Files that hold no campaigns; ``faults`` names every line."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


class Written(NamedTuple):
    """A campaign, and the file that it was read from."""

    file: Path
    campaign: Campaign


class _Scalars(yaml.SafeLoader):
    """A loader whose plain scalars are those of YAML 1.2's core schema."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # type: ignore[misc]


for _tag, _form, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Scalars.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_form})$"), list(_first)
    )


class _Tree(NamedTuple):
    """A document as values, and the line of each value and each name by its path."""

    data: Any
    lines: Mapping[tuple[str | int, ...], int]
    names: Mapping[tuple[str | int, ...], int]

    def line_of(self, path: tuple[str | int, ...]) -> int:
        """The line where a field is named, or a value begins."""
        return self.names.get(path, self.lines.get(path, 1))


def read_folder(folder: Path, schema: TopicSchema, decoder: ReferenceDecoder) -> list[Written]:
    """The campaigns of a folder's files, in the order of their names.

    Raises
    ------
    FileFault
        If a file holds none, or two hold the same.
    OSError
        If the folder or a file cannot be read.
    """
    written: list[Written] = []
    faults: list[Fault] = []
    owners: dict[str, str] = {}
    files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
    for file in files:
        try:
            one = read_file(file, schema, decoder)
        except FileFault as fault:
            faults += fault.faults
            continue
        owner = owners.setdefault(one.campaign.campaign_id, file.name)
        if owner != file.name:
            what = f"campaign {one.campaign.campaign_id!r} is in {owner}, too"
            faults.append(Fault(file.name, 1, what))
        written.append(one)
    if faults:
        raise FileFault(faults)
    return written


def read_file(file: Path, schema: TopicSchema, decoder: ReferenceDecoder) -> Written:
    """The campaign in a file; FileFault if it holds none."""
    if file.stat().st_size > MOST_BYTES:
        raise FileFault([Fault(file.name, 1, f"the file is over {MOST_BYTES} bytes")])
    tree = _tree(file)
    data = tree.data
    if not isinstance(data, dict):
        raise FileFault([Fault(file.name, 1, "a campaign is a list of fields, as `name: Spring`")])
    if "campaign_id" not in data:
        if not _ID.fullmatch(file.stem):
            what = "campaign_id is missing, and the file's name is none: use letters, digits, . _ -"
            raise FileFault([Fault(file.name, 1, what)])
        data["campaign_id"] = file.stem
    faults = sorted({*_faults(file.name, tree, schema)}, key=lambda fault: (fault.line, fault.what))
    if faults:
        raise FileFault(faults)
    value = orjson.dumps(data)
    entry = decoder.decode_campaign(str(data["campaign_id"]).encode(), value)
    if not isinstance(entry, ReferenceEntry) or entry.value is None:
        detail = entry.detail if not isinstance(entry, ReferenceEntry) else "it is empty"
        raise FileFault([Fault(file.name, _line_of(detail, tree), _plain(detail))])
    return Written(file, entry.value)


def paused(text: str, is_active: bool) -> str:
    """A file's text with its campaign paused, or on again; all else stays as it is written.

    >>> paused("name: Spring  # a comment\\n", False)
    'name: Spring  # a comment\\nactive: false\\n'
    >>> paused("active: true  # for now\\nname: Spring\\n", False)
    'active: false  # for now\\nname: Spring\\n'
    """
    word = "true" if is_active else "false"
    root = yaml.compose(text, _Scalars)
    assert isinstance(root, yaml.MappingNode)
    for name, value in root.value:
        if name.value == "active":
            return text[: value.start_mark.index] + word + text[value.end_mark.index :]
    return text + ("" if text.endswith("\n") else "\n") + f"active: {word}\n"


def _tree(file: Path) -> _Tree:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FileFault([Fault(file.name, 1, "the file is not UTF-8")]) from None
    try:
        loader = _Scalars(text)
        root = loader.get_single_node()
        if root is None:
            raise FileFault([Fault(file.name, 1, "the file is empty")])
        lines: dict[tuple[str | int, ...], int] = {}
        names: dict[tuple[str | int, ...], int] = {}
        data = _value(loader, root, (), lines, names, file.name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"no YAML: {error.problem or error.context}"
        raise FileFault([Fault(file.name, mark.line + 1 if mark else 1, what)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        what = f"no YAML: {type(error).__name__}"
        raise FileFault([Fault(file.name, 1, what)]) from None
    return _Tree(data, lines, names)


def _value(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    path: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
    names: dict[tuple[str | int, ...], int],
    file: str,
) -> Any:
    if path in lines or len(path) > _DEEPEST:
        raise yaml.YAMLError("nested too deeply")
    line = lines[path] = node.start_mark.line + 1
    if len(lines) > 100_000:  # aliases of aliases: a bomb
        raise yaml.YAMLError("too large")
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(loader, child, (*path, n), lines, names, file)
            for n, child in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise FileFault([Fault(file, key.start_mark.line + 1, "a name must be a text")])
            name = key.value
            if name in found:
                raise FileFault([Fault(file, key.start_mark.line + 1, f"{name!r} is there twice")])
            names[(*path, name)] = key.start_mark.line + 1
            found[name] = _value(loader, child, (*path, name), lines, names, file)
        return found
    if node.tag.startswith("tag:yaml.org,2002:"):
        value = loader.construct_object(node)
        if value is None or isinstance(value, str | int | float | bool):
            return value
    raise FileFault([Fault(file, line, f"{node.tag} is no value that a campaign takes")])


# ------------------------------------------------------------------------------------------ faults


def _faults(file: str, tree: _Tree, schema: TopicSchema) -> Iterator[Fault]:
    try:
        errors = list(schema.validator.iter_errors(tree.data))
    except ValueError:
        yield Fault(file, 1, "nested too deeply")
        return
    for error in errors:
        path = tuple(error.instance_path)
        kind: Any = error.kind
        if kind.name == "additionalProperties":
            yield from _unknown(file, tree, path, kind.unexpected, error, schema)
        else:
            yield Fault(file, tree.line_of(path), _said(schema, error, path))


def _unknown(
    file: str,
    tree: _Tree,
    path: tuple[str | int, ...],
    names: Sequence[str],
    error: ValidationError,
    schema: TopicSchema,
) -> Iterator[Fault]:
    known = schema.known_at(error)
    for name in names:
        line = tree.line_of((*path, name))
        near = nearest([name], known)
        place = ""
        if near is None and (near := nearest([name], _of_audience(schema))):
            place = " (it belongs below audience)"
        meant = f", did you mean {near!r}?{place}" if near else f"; known are {_listed(known)}"
        yield Fault(file, line, f"unknown field {name!r}{meant}")


def _of_audience(schema: TopicSchema) -> Sequence[str]:
    return list(schema.document["$defs"]["audience"]["properties"])


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _said(schema: TopicSchema, error: ValidationError, path: tuple[str | int, ...]) -> str:
    detail = schema.told(error)
    value = error.instance
    words = f"{_where(path)}{detail}"
    if detail.startswith("does not match") and (told := schema.node_of(error).get("description")):
        words = f"{_where(path)}is none of this form: {told[0].lower()}{told[1:].rstrip('.')}"
    if isinstance(value, str) and path == ("strategy",) and value in TIMED:
        return f"strategy {value} takes its time below it, as `{value}: {{{TIMED[value]}: 30d}}`"
    if isinstance(value, str) and " is none of " in f" {detail}":
        options = detail.rpartition(" is none of ")[2].removeprefix("is none of ").split(", ")
        if near := nearest([value], options):
            words = f"{_where(path)}unknown value {value!r}, did you mean {near!r}?"
    return words


def _where(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path)) + " " if path else ""


def _line_of(detail: str, tree: _Tree) -> int:
    """The line that a detail's pointer is about, or the nearest above that there is."""
    pointer = detail.split(" ", 1)[0].rstrip(":")
    steps: list[str | int] = [
        int(step) if step.isdecimal() else step for step in pointer.split("/")[1:]
    ]
    while steps and tuple(steps) not in tree.lines:
        steps.pop()
    return tree.line_of(tuple(steps))


def _plain(detail: str) -> str:
    """A detail as a person reads it: with dots for the slashes of pointers.

    >>> _plain("/ends_at is not after /starts_at")
    'ends_at is not after starts_at'
    """
    return re.sub(r"(?<!\S)/([a-z_0-9/]+)", lambda m: m[1].replace("/", "."), detail)
