"""A Schema Registry for tests: Confluent's REST interface over HTTP, in a thread of its own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from stream.config import KafkaSettings

Answer = tuple[int, dict[str, str], bytes]


class Registry:
    """What is registered, what was asked, and how it misbehaves.

    ``wrong`` may answer a path itself; ``delay`` is in seconds.
    """

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.guids: dict[str, int] = {}
        self.versions: dict[tuple[str, int], int] = {}
        self.asked: list[tuple[str, str]] = []
        self.wrong: Callable[[str], Answer | None] = lambda path: None
        self.delay = 0.0
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(
        self,
        schema: int,
        text: str,
        kind: str = "AVRO",
        references: list[dict[str, Any]] | None = None,
    ) -> int:
        self.schemas[schema] = {"schema": text} | ({"schemaType": kind} if kind != "AVRO" else {})
        if references:
            self.schemas[schema]["references"] = references
        return schema

    def settings(self, **more: Any) -> KafkaSettings:
        return KafkaSettings(schema_registry_url=self.url, **more)

    def start(self) -> None:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append((self.path, self.headers.get("Authorization", "")))
                time.sleep(registry.delay)
                status, headers, body = registry.wrong(self.path) or registry.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> Answer:
        match [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]:
            case ["schemas", "types"]:
                return told(["JSON", "PROTOBUF", "AVRO"])
            case ["schemas", "ids", number]:
                found = self.schemas.get(int(number))
            case ["schemas", "guids", guid]:
                found = self.schemas.get(self.guids.get(guid, -1))
            case ["subjects", subject, "versions", version]:
                found = self.schemas.get(self.versions.get((subject, int(version)), -1))
            case _:
                return 404, {}, b"<html>no such page</html>"
        if found is None:
            return told({"error_code": 40403, "message": "Schema not found"}, 404)
        return told(found)


def told(document: Any, status: int = 200) -> Answer:
    kind = "application/vnd.schemaregistry.v1+json"
    return status, {"Content-Type": kind}, json.dumps(document).encode()


@contextmanager
def a_registry() -> Iterator[Registry]:
    registry = Registry()
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def framed(schema: int, payload: bytes) -> bytes:
    return b"\0" + schema.to_bytes(4) + payload


# ------------------------------------------------------------------------------------------- Avro

LINE = {"type": "record", "name": "Line", "fields": [
    {"name": "product_id", "type": "string"},
    {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal",
                                        "precision": 18, "scale": 2}], "default": None},
    {"name": "quantity", "type": "int"},
    {"name": "category", "type": ["null", "string"], "default": None},
    {"name": "brand", "type": ["null", "string"], "default": None},
]}  # fmt: skip
CONSENT = {"type": "record", "name": "Consent", "fields": [
    {"name": name, "type": ["null", "boolean"], "default": None} for name in ("profiling", "offers")
]}  # fmt: skip
MOMENT = {"type": "long", "logicalType": "timestamp-millis"}


def _either(kind: Any) -> dict[str, Any]:
    return {"type": ["null", kind], "default": None}


CLICK = {"type": "record", "name": "Click", "namespace": "shop", "fields": [
    {"name": "event_id", "type": "string"},
    {"name": "customer_id", "type": "string"},
    {"name": "timestamp", "type": MOMENT},
    {"name": "event", "type": {"type": "enum", "name": "Action", "symbols": [
        "view", "click", "add_to_cart", "remove_from_cart"]}},
    {"name": "product_id", "type": "string"},
    {"name": "session_id", **_either("string")},
    {"name": "price_minor", **_either("long")},
    {"name": "currency", **_either("string")},
    {"name": "category", **_either("string")},
    {"name": "quantity", **_either("int")},
    {"name": "consent", **_either(CONSENT)},
    {"name": "erase", **_either("boolean")},
]}  # fmt: skip
PURCHASE = {"type": "record", "name": "Purchase", "namespace": "shop", "fields": [
    {"name": "event_id", "type": "string"},
    {"name": "customer_id", "type": "string"},
    {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "event", "type": {"type": "enum", "name": "Trade", "symbols": ["purchase", "refund"]}},
    {"name": "order_id", "type": "string"},
    {"name": "currency", "type": "string"},
    {"name": "products", "type": {"type": "array", "items": LINE}},
]}  # fmt: skip


def avro(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    """A payload as fastavro writes it."""
    to = BytesIO()
    fastavro.schemaless_writer(to, fastavro.parse_schema(schema), value)
    return to.getvalue()


# --------------------------------------------------------------------------------------- Protobuf

FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": FIELD.TYPE_STRING, "int64": FIELD.TYPE_INT64, "int32": FIELD.TYPE_INT32,
    "bool": FIELD.TYPE_BOOL, "bytes": FIELD.TYPE_BYTES, "float": FIELD.TYPE_FLOAT,
    "double": FIELD.TYPE_DOUBLE, "uint64": FIELD.TYPE_UINT64,
}  # fmt: skip


def a_file(name: str, *imports: str, package: str = "shop") -> Any:
    return descriptor_pb2.FileDescriptorProto(
        name=name, package=package, syntax="proto3", dependency=list(imports)
    )


def a_message(where: Any, name: str, **fields: str) -> Any:
    """A message; ``customer_id="string"``, ``lines="*shop.Line"`` or ``"?bool"`` for optional."""
    nested = hasattr(where, "nested_type")
    message = (where.nested_type if nested else where.message_type).add(name=name)
    for number, (field, kind) in enumerate(fields.items(), 1):
        added = message.field.add(name=field, number=number, label=FIELD.LABEL_OPTIONAL)
        if kind[0] == "*":
            added.label = FIELD.LABEL_REPEATED
        if kind[0] == "?":
            added.proto3_optional = True
            added.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field}")
        kind = kind.lstrip("*?")
        if kind in _TYPES:
            added.type = _TYPES[kind]
        else:
            added.type = FIELD.TYPE_ENUM if kind[0] == "#" else FIELD.TYPE_MESSAGE
            added.type_name = "." + kind.lstrip("#")
    return message


def shop_file() -> Any:
    """Clicks and purchases, as a shop would write them in ``shop.proto``."""
    file = a_file("shop.proto", "google/protobuf/timestamp.proto", "google/type/decimal.proto")
    action = file.enum_type.add(name="Action")
    for number, name in enumerate(
        ("UNSPECIFIED", "VIEW", "CLICK", "ADD_TO_CART", "REMOVE_FROM_CART")
    ):
        action.value.add(name=f"ACTION_{name}", number=number)
    a_message(file, "Consent", profiling="?bool", offers="?bool")
    a_message(
        file, "Click", event_id="string", customer_id="string",
        timestamp="google.protobuf.Timestamp", event="#shop.Action", product_id="string",
        session_id="?string", price_minor="?int64", currency="?string", category="?string",
        quantity="?int32",        consent="shop.Consent", erase="?bool",
    )  # fmt: skip
    a_message(
        file, "Line", product_id="string", price="google.type.Decimal", quantity="int32",
        category="?string", brand="?string",
    )  # fmt: skip
    a_message(
        file, "Purchase", event_id="string", customer_id="string",
        timestamp="google.protobuf.Timestamp", event="string", order_id="string", currency="string",
        products="*shop.Line",
    )  # fmt: skip
    return file


def serialized(file: Any) -> str:
    return base64.b64encode(file.SerializeToString()).decode()


def classes(*files: Any) -> Callable[[str], Any]:
    """Message classes by name, for producers."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    decimal = a_file("google/type/decimal.proto", package="google.type")
    a_message(decimal, "Decimal", value="string")
    pool.Add(decimal)
    for file in files:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def path_of(*indexes: int) -> bytes:
    """The path of a message in its file, as Confluent's serializers write it."""
    if indexes == (0,):
        return b"\0"
    return b"".join(_zigzag(number) for number in (len(indexes), *indexes))


def _zigzag(number: int) -> bytes:
    number, raw = (number << 1) ^ (number >> 63), bytearray()
    while number > 127:
        raw.append(number & 127 | 128)
        number >>= 7
    raw.append(number)
    return bytes(raw)
