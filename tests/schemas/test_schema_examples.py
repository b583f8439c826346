"""The schema files and their examples: what producers read is what is enforced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from stream.codec.events.decoding import Decoded, EventDecoder, encode
from stream.codec.reference import ReferenceDecoder, ReferenceEntry
from stream.codec.schema import Schemas, load_schemas
from stream.config import CoreSettings

ROOT = Path(__file__).parents[2] / "schemas"
FILES = sorted(ROOT.glob("*/v*.json"))
VALID = sorted(ROOT.glob("*/v*/valid/*.json"))
INVALID = sorted(ROOT.glob("*/v*/invalid/*.json"))
EVENTS = ("clicks", "purchases", "feedback", "customers")
TOPICS = {*EVENTS, "catalog", "campaigns", "decisions", "offers", "rules"}
FAR = 4_102_444_800_000  # a record's time after any event's


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return load_schemas()


def named(path: Path) -> str:
    return "/".join(path.relative_to(ROOT).parts)


def load(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_every_topic_has_a_first_version_with_examples_of_both_kinds(schemas: Schemas) -> None:
    assert {topic for topic, _ in schemas.by_version} == TOPICS
    for topic in TOPICS:
        assert schemas.majors(topic) == {1}
        assert len(list((ROOT / topic / "v1" / "valid").glob("*.json"))) >= 2
        assert len(list((ROOT / topic / "v1" / "invalid").glob("*.json"))) >= 5


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_schema_is_one_of_draft_2020_12_that_stands_alone(path: Path) -> None:
    document = load(path)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"urn:offerstream:schema:{path.parent.name}:{path.stem[1:]}"
    jsonschema_rs.meta.validate(document)
    text = path.read_text(encoding="utf-8")
    assert text.count('"$ref"') == text.count('"$ref": "#/$defs/')


def test_what_several_schemas_define_they_define_alike() -> None:
    seen: dict[str, Any] = {}
    for path in FILES:
        for name, definition in load(path)["$defs"].items():
            assert seen.setdefault(name, definition) == definition, f"{named(path)}: {name}"


@pytest.mark.parametrize("path", VALID, ids=named)
def test_a_valid_example_keeps_the_contract(path: Path, schemas: Schemas) -> None:
    assert schemas.of(path.parts[-4]).is_valid(load(path))


@pytest.mark.parametrize("path", INVALID, ids=named)
def test_an_invalid_example_is_refused_for_what_its_name_says(path: Path, schemas: Schemas) -> None:
    schema = schemas.of(path.parts[-4])
    assert not schema.is_valid(load(path))
    assert schema.fault(load(path)).code == path.name.split(".")[1]


@pytest.mark.parametrize("path", [path for path in VALID if path.parts[-4] in EVENTS], ids=named)
def test_a_valid_event_is_decoded_and_survives_its_canonical_form(
    path: Path, schemas: Schemas
) -> None:
    decode = getattr(EventDecoder(schemas, CoreSettings()), path.parts[-4])
    outcome = decode(b"c-1001", path.read_bytes(), (), FAR)
    assert isinstance(outcome, Decoded), outcome
    assert outcome.extra_fields == (2 if path.stem == "unknown-fields" else 0)
    canonical = encode(outcome.event)
    assert decode(b"c-1001", canonical, (), FAR) == Decoded(outcome.event, 0)


@pytest.mark.parametrize(
    "path", [path for path in VALID if path.parts[-4] in ("catalog", "campaigns")], ids=named
)
def test_valid_reference_data_are_decoded(path: Path, schemas: Schemas) -> None:
    decoder = ReferenceDecoder(schemas, CoreSettings())
    catalog = path.parts[-4] == "catalog"
    key = load(path)["product_id" if catalog else "campaign_id"].encode()
    decode = decoder.decode_catalog if catalog else decoder.decode_campaign
    outcome = decode(key, path.read_bytes())
    assert isinstance(outcome, ReferenceEntry)
    assert outcome.value is not None


def test_a_schema_can_be_read_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "clicks").mkdir()
    (tmp_path / "README.md").write_text("no schema")
    (tmp_path / "clicks" / "notes.json").write_text("no schema")
    (tmp_path / "clicks" / "v2.json").write_text('{"type": "object", "properties": {"a": {}}}')
    loaded = load_schemas(tmp_path)
    assert loaded.majors("clicks") == {2}
    assert loaded.of("clicks", 2).fields == {"a"}
