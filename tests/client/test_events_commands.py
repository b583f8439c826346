"""The commands that check and send events, and the producer behind them, on a local log."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from stream.broker.local.log import Log
from stream.cli import main
from stream.client import EventProducer
from stream.client.producer import EventRefused, NotSent
from stream.codec.partition import partition_for
from stream.config import ConfigError
from tests import waiting

ROOT = Path(__file__).resolve().parents[2]
NOW = "2024-05-01T09:30:00Z"


def event(n: int, **change: Any) -> dict[str, Any]:
    known = {
        "event_id": f"e-{n}", "customer_id": f"c-{n % 5}", "timestamp": NOW, "event": "view",
        "product_id": "p-1",
    }  # fmt: skip
    return known | change


def written(path: Path, *events: dict[str, Any] | bytes) -> Path:
    lines = [each if isinstance(each, bytes) else orjson.dumps(each) for each in events]
    text = b"\n".join(lines) + b"\n"
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with Log(tmp_path / "log") as log:
        log.create_topic("clicks", 4)
    return tmp_path / "log"


def run(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["events", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def stored(directory: Path) -> list[tuple[int, bytes, bytes]]:
    with Log(directory) as log:
        return [
            (number, record.key or b"", record.value or b"")
            for number in range(4)
            for record in log.read("clicks", number, 0)
        ]


def test_validate_tells_each_fault_with_its_line_and_a_summary(tmp_path: Path) -> None:
    file = written(
        tmp_path / "a.jsonl", event(1), b"", event(2, event="vew", price="1,5"), b"{", event(3, x=1)
    )
    done = run("validate", file, "--as", "clicks", code=2)
    lines = done.stdout.splitlines()
    assert f"{file}:3: /event is none of" in lines[0]
    assert lines[0].endswith('(schema); nearest: "view"')
    assert lines[1].startswith(f"{file}:3: /price does not match")
    assert lines[1].endswith('(value_range); nearest: "1.5"')
    assert lines[2].startswith(f"{file}:4: the value is not JSON")
    assert lines[3] == f"{file}: 4 events: 2 valid (2 clicks); 2 refused"
    assert "  1 × /x is passed over: nobody knows it" in lines
    documents = [json.loads(x) for x in run("validate", file, "--json", code=2).stdout.splitlines()]
    assert [each.get("line") for each in documents] == [3, 3, 4, None]
    assert documents[-1]["summary"]["refused"] == 2


def test_a_valid_file_of_any_form_is_valid(tmp_path: Path) -> None:
    call = {
        "type": "track", "event": "Product Viewed", "messageId": "m", "userId": "u",
        "timestamp": NOW, "properties": {"product_id": "p"},
    }  # fmt: skip
    packed = written(tmp_path / "odd.name.gz", call, call | {"type": "page"})
    done = run("validate", packed, "--as", "segment")
    assert "2 events: 1 valid (1 clicks); 0 refused; 1 of no use to an offer" in done.stdout
    assert (
        "is no event in the form cloudevents"
        in run("validate", packed, "--as", "cloudevents", code=2).stdout
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no event"),
        (b"\n \n", "holds no event"),
        (b"[]", "holds no event"),
        (b"PAR1\x00\x00", "is damaged"),
        (b"Obj\x01\x00", "is Avro"),
        (b"{}\n\x00", "is no text"),
        (gzip.compress(b"{}\n" * 9_999, mtime=0)[:-9], "is damaged or cut off"),
    ],
)
def test_what_is_no_file_of_events_is_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    done = run("validate", file, code=2)
    assert words in done.stderr
    assert "cannot be read" in run("validate", tmp_path / "none", code=2).stderr


def test_a_line_that_is_too_long_is_one_fault_of_its_line(tmp_path: Path) -> None:
    file = written(tmp_path / "a", event(1), b'{"x": "' + b"y" * 2_500_000 + b'"}', event(2))
    lines = run("validate", file, "--as", "clicks", code=2).stdout.splitlines()
    assert lines[0] == f"{file}:2: the value is over 262144 bytes (oversize)"
    assert lines[1] == f"{file}: 3 events: 2 valid (2 clicks); 1 refused"


def test_send_acknowledges_each_and_sends_no_event_that_would_be_refused(
    tmp_path: Path, directory: Path
) -> None:
    file = written(tmp_path / "a.jsonl", *[event(n) for n in range(20)], event(20, price="x"))
    broker = f"--broker=local://{directory}"
    done = run("send", file, "--topic", "clicks", "--json", broker, code=2)
    *receipts, last = [json.loads(line) for line in done.stdout.splitlines()]
    acknowledged = [each for each in receipts if each["status"] == "acknowledged"]
    assert [each["line"] for each in acknowledged] == list(range(1, 21))
    assert last["summary"]["acknowledged"] == 20
    assert last["summary"]["refused"] == 1
    records = stored(directory)
    assert len(records) == 20
    places = {json.loads(value)["event_id"]: number for number, _, value in records}
    assert all(places[f"e-{each['line'] - 1}"] == each["partition"] for each in acknowledged)
    for number, key, value in records:
        assert key == json.loads(value)["customer_id"].encode()
        assert number == partition_for(key, 4)


def test_a_file_that_is_right_ends_with_zero(tmp_path: Path, directory: Path) -> None:
    file = written(tmp_path / "a.jsonl", event(1), event(2))
    done = run("send", file, "--topic", "clicks", f"--broker=local://{directory}")
    assert "2 valid (2 clicks); 0 refused; 2 acknowledged, 0 not" in done.stdout


def test_the_code_on_the_producers_page_runs(directory: Path) -> None:
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- code -->\n```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert len([line for line in found[1].splitlines() if line.strip()]) <= 10
    code = found[1].replace("kafka://127.0.0.1:9092", f"local://{directory}")
    events = "".join(json.dumps(event(n)) + "\n" for n in range(3))
    done = waiting.run([sys.executable, "-c", code], cwd=ROOT, input=events)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Acknowledged(topic='clicks'") == 3
    assert len(stored(directory)) == 3


async def test_the_producer_refuses_before_it_sends(directory: Path) -> None:
    async with EventProducer(f"local://{directory}") as events:
        placed = await events.send("clicks", event(1))
        assert (placed.topic, placed.offset) == ("clicks", 0)
        with pytest.raises(EventRefused, match="clicks: /price does not match") as refused:
            await events.send("clicks", event(2, price="x"))
        assert refused.value.checked.faults[0].pointer == "/price"
        with pytest.raises(ConfigError, match="no topic 'click'"):
            await events.send("click", event(3))
        with pytest.raises(NotSent, match="topic purchases is missing"):
            await events.send(
                "purchases",
                event(
                    4,
                    event="purchase",
                    order_id="o",
                    products=[{"product_id": "p"}],
                    currency="EUR",
                ),
            )
        assert events.counts["acknowledged"] == 1
        assert events.counts["refused"] == 1
    assert len(stored(directory)) == 1


@pytest.mark.parametrize("form", ["lines", "gzip", "array", "utf-16"])
def test_standard_input_is_read_in_any_form(form: str) -> None:
    lines = b"\xef\xbb\xbf" + b"\n".join(orjson.dumps(event(n)) for n in range(3))
    text = {
        "lines": lines,
        "gzip": gzip.compress(lines),
        "array": orjson.dumps([event(n) for n in range(3)]),
        "utf-16": lines.decode("utf-8-sig").encode("utf-16"),
    }[form]
    done = CliRunner().invoke(main, ["events", "validate", "-"], input=text)
    assert done.exit_code == 0, done.output
    assert "standard input: 3 events: 3 valid (3 clicks)" in done.stdout


def test_several_files_are_told_apart(tmp_path: Path) -> None:
    written(tmp_path / "a.jsonl", event(1), b"{")
    written(tmp_path / "b.jsonl.gz", b"[1]", event(2))
    done = run("validate", tmp_path / "*.jsonl*", "--json", code=2)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(Path(one["file"]).name, one["line"]) for one in told[:-1]] == [
        ("a.jsonl", 2),
        ("b.jsonl.gz", 1),
    ]
    assert told[-1]["summary"]["events"] == 4
