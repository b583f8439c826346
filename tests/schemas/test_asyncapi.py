"""The AsyncAPI document: whole, with every reference resolved, and true to what is configured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from stream.codec import deadletters
from stream.config import Settings
from stream.domain.event import Rejection, RejectionCode
from stream.worker.checks.topics import topic_specs

ROOT = Path(__file__).parents[2] / "schemas"
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "asyncapi.yaml").read_text(encoding="utf-8"))
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
INTERNAL = {"budgets", "examples", "evidence", "models", "offerstream-customers-changelog"}

BINDING = {"bindingVersion": {"const": "0.5.0"}}
TEXT = {"type": "string", "minLength": 1}
REFERENCE = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": TEXT},
    "additionalProperties": False,
}


def closed(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


def kafka(properties: dict[str, Any]) -> dict[str, Any]:
    return closed(["kafka"], {"kafka": closed(list(BINDING), BINDING | properties)})


# The part of AsyncAPI 3.0.0, and of its Kafka binding 0.5.0, that the document uses.
STRUCTURE = closed(
    ["asyncapi", "info", "channels", "operations", "components"],
    {
        "asyncapi": {"const": "3.0.0"},
        "id": TEXT,
        "info": {"type": "object", "required": ["title", "version"]},
        "defaultContentType": TEXT,
        "servers": {
            "additionalProperties": closed(
                ["host", "protocol"], {"host": TEXT, "protocol": TEXT, "description": TEXT}
            )
        },
        "channels": {
            "additionalProperties": closed(
                ["address", "messages"],
                {
                    "address": TEXT,
                    "description": TEXT,
                    "messages": {"minProperties": 1, "additionalProperties": REFERENCE},
                    "bindings": kafka(
                        {
                            "topic": TEXT,
                            "partitions": {"type": "integer", "minimum": 1},
                            "replicas": {"type": "integer", "minimum": 1},
                            "topicConfiguration": {"type": "object"},
                        }
                    ),
                },
            )
        },
        "operations": {
            "additionalProperties": closed(
                ["action", "channel"],
                {
                    "action": {"enum": ["send", "receive"]},
                    "channel": REFERENCE,
                    "summary": TEXT,
                    "bindings": kafka(
                        {"groupId": {"type": "object"}, "clientId": {"type": "object"}}
                    ),
                },
            )
        },
        "components": closed(
            ["messages", "schemas"],
            {
                "schemas": {"type": "object"},
                "messages": {
                    "additionalProperties": closed(
                        ["name", "title", "contentType", "bindings"],
                        {
                            "name": TEXT,
                            "title": TEXT,
                            "summary": TEXT,
                            "contentType": TEXT,
                            "headers": REFERENCE,
                            "payload": closed(
                                ["schemaFormat", "schema"],
                                {"schemaFormat": TEXT, "schema": REFERENCE},
                            ),
                            "bindings": kafka({"key": {"type": "object", "required": ["type"]}}),
                        },
                    )
                },
            },
        ),
    },
)


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            if name == "$ref":
                yield child
            else:
                yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolve(reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    node = json.loads((ROOT / file).read_text(encoding="utf-8")) if file else DOCUMENT
    for step in pointer.split("/")[1:]:
        node = node[step]
    return node


def test_the_document_has_the_structure_of_asyncapi_3() -> None:
    errors = jsonschema_rs.validator_for(
        {"$schema": "https://json-schema.org/draft/2020-12/schema"} | STRUCTURE
    ).iter_errors(DOCUMENT)
    assert [f"{error.instance_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_resolves(reference: str) -> None:
    assert resolve(reference)


def test_every_schema_is_the_payload_of_a_message() -> None:
    files = {f"./{path.parent.name}/{path.name}" for path in ROOT.glob("*/v*.json")}
    assert files <= set(references(DOCUMENT["components"]["messages"]))


def test_every_channel_has_one_operation_in_the_right_direction() -> None:
    directions = {
        operation["channel"]["$ref"].rsplit("/", 1)[1]: operation["action"]
        for operation in DOCUMENT["operations"].values()
    }
    sent = {"offers", "decisions", "late", "deadLetters", "rules"}
    assert len(directions) == len(DOCUMENT["operations"])
    assert directions == {name: "send" if name in sent else "receive" for name in CHANNELS}


def test_the_channels_are_the_topics_as_they_are_created() -> None:
    specs = {spec.name: spec for spec in topic_specs(Settings()) if spec.name not in INTERNAL}
    assert {channel["address"] for channel in CHANNELS.values()} == set(specs)
    for channel in CHANNELS.values():
        spec, binding = specs[channel["address"]], channel["bindings"]["kafka"]
        assert binding["topic"] == spec.name
        assert binding["partitions"] == spec.partitions
        configured = binding["topicConfiguration"]
        assert ",".join(configured["cleanup.policy"]) == spec.config["cleanup.policy"]
        assert str(configured.get("retention.ms")) == str(spec.config.get("retention.ms"))


def test_the_headers_of_a_dead_letter_are_the_ones_described() -> None:
    described = resolve("#/components/schemas/deadLetterHeaders")
    assert described["properties"]["offerstream.code"]["enum"] == [*RejectionCode]
    large = (("a", b"x" * 70_000),)
    record = deadletters.FailedRecord("clicks", 0, 0, 0, b"k" * 5000, b"x" * 5000, large, 0)
    written = set()
    for code in RejectionCode:
        letter = deadletters.build_dead_letter(
            record, Rejection(code, "why"), stage="decode", version="1"
        )
        headers = {name: (raw or b"").decode() for name, raw in letter.headers}
        headers.pop("a", None)
        written |= set(headers)
        jsonschema_rs.validator_for(
            {"$schema": "https://json-schema.org/draft/2020-12/schema"} | described
        ).validate(headers)
    assert written == set(described["properties"])
