"""docs/campaigns.md is run as it is written: a marketer's quarter of an hour."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.codec.campaign_files import read_file
from stream.codec.events.decoding import encode
from stream.codec.reference import ReferenceDecoder
from stream.codec.schema import load_schemas
from stream.config import CoreSettings, Settings
from stream.domain.event import Consent, Event
from stream.worker.checks.topics import verify
from stream.worker.engine import Engine
from tests.builders import NOON, SECOND, a_click, an_update, consent

PAGE = Path(__file__).resolve().parents[2] / "docs" / "campaigns.md"
BLOCK = re.compile(r"```(console|yaml)\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
FILE = re.compile(r"# (\S+\.yaml)\n(.*)", re.DOTALL)


def commands(block: str) -> Iterator[tuple[list[str], list[str]]]:
    """The commands of a block, each with the lines that it prints."""
    for part in block.split("$ ")[1:]:
        command, *lines = part.strip().splitlines()
        yield shlex.split(command)[1:], lines


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments), standalone_mode=True)
    return done.exit_code, done.output


def events() -> list[tuple[str, Event]]:
    allowed = {"consent": consent(True)}
    traits = (("tier", "gold"),)
    return [
        ("customers", an_update(1, "c1", traits=traits, **allowed)),
        ("customers", an_update(1, "c2", **allowed)),
        ("customers", an_update(1, "c3", consent=Consent(profiling=True, offers=False))),
        *[
            ("clicks", a_click(n, customer, f"i{n}", time=NOON + n * SECOND))
            for n in range(2, 8)
            for customer in ("c1", "c2", "c3", "c4")
        ],
    ]


async def a_replay(settings: Settings) -> None:
    async with Engine(settings) as engine:
        await engine.publish(
            [(kind, e.customer_id.encode(), encode(e), (), e.time) for kind, e in events()]
        )
        await engine.settle()


def a_shop(folder: Path) -> None:
    settings = Settings(broker=f"local://{folder}", data_dir=str(folder.parent / "data"))
    verify(settings)
    asyncio.run(a_replay(settings))


def test_the_quarter_of_an_hour_is_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a_shop(tmp_path / "shop")
    seen = []
    for kind, text in BLOCKS[: [k for k, _ in BLOCKS].index("yaml", 5)]:
        if kind == "yaml":
            match = FILE.match(text)
            assert match is not None
            (tmp_path / match[1]).write_text(text, encoding="utf-8")
            continue
        for arguments, lines in commands(text):
            code, output = run(*arguments)
            seen.append(arguments[1])
            assert code == (2 if any("unknown field" in line for line in lines) else 0), output
            for line in lines:
                assert line in output.splitlines(), (arguments, output)
            if arguments[1] == "plan":
                assert "3 customers were seen in the 7 days to 2023-11-15" in output
                assert "2 may be made offers" in output  # c3 wants none
                row = re.search(r"^gold +1 \(50%\) +1 +0$", output, re.MULTILINE)
                assert row, output
    assert [*dict.fromkeys(seen)] == ["init", "validate", "plan", "apply", "list", "pause"]


def test_every_file_of_the_page_is_a_campaign(tmp_path: Path) -> None:
    schemas = load_schemas()
    found = 0
    for _, text in [block for block in BLOCKS if block[0] == "yaml" and "traist" not in block[1]]:
        file = tmp_path / "campaign.yaml"
        file.write_text(text, encoding="utf-8")
        read_file(file, schemas.of("campaigns"), ReferenceDecoder(schemas, CoreSettings()))
        found += 1
    assert found == 6


def test_what_is_applied_is_in_force_only_where_it_differs_and_machines_can_read_it(
    tmp_path: Path,
) -> None:
    folder, broker = str(tmp_path / "campaigns"), ("--broker", f"local://{tmp_path / 'shop'}")
    assert run("campaigns", "init", folder)[0] == 0
    code, output = run("campaigns", "apply", folder, *broker)
    assert (code, "there is no local log in" in output) == (2, True), output
    a_shop(tmp_path / "shop")
    code, output = run("campaigns", "apply", folder, "--json", *broker)
    assert (code, len(orjson.loads(output)["published"])) == (0, 6), output
    assert orjson.loads(run("campaigns", "apply", folder, "--json", *broker)[1])["published"] == []
    (tmp_path / "campaigns" / "for-you.yaml").write_text("name: For you\npriority: 7\n")
    (tmp_path / "campaigns" / "vip.yaml").unlink()
    code, output = run("campaigns", "plan", folder, "--no-reach", "--json", *broker)
    changes = {one["campaign_id"]: one for one in orjson.loads(output)["changes"]}
    assert changes["for-you"]["fields"] == {"priority": [0, 7]}
    assert changes["vip"]["kind"] == "not in the folder"
    output = run("campaigns", "apply", folder, "--prune", *broker)[1]
    assert "- vip: in no file: removed" in output
    rows = orjson.loads(run("campaigns", "list", folder, "--json", *broker)[1])
    assert [row["in_force"] for row in rows] == ["yes"] * 5
    assert run("campaigns", "init", folder)[1].count("stays as it is") == 5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "x.yaml:1: the file is empty"),
        ("- a\n", "x.yaml:1: a campaign is a list of fields"),
        ("name: A\nname: B\n", "x.yaml:2: 'name' is there twice"),
        ("name: [\n", "x.yaml:2: no YAML: "),
        ("priority: 3\n", "x.yaml:1: name is missing"),
        ("name: A\nstrategy: reminders\n", "x.yaml:2: strategy "),
        ("name: A\nstrategy:\n  reminder: {idle: 2h}\n", "x.yaml:3: "),
        (
            "name: A\nstrategy:\n  win_back: {idle: 400d}\n",
            "x.yaml:3: strategy.win_back",
        ),
        ("name: A\nstrategy: win_back\n", "x.yaml:2: strategy win_back takes its time below it"),
        ("name: A\ntime_zone: Berlin\n", "x.yaml:2: time_zone is no name of a time zone"),
        ("name: A\nbudget: {pacing: even}\n", "x.yaml:2: budget needs one of"),
        ("name: A\nttl: 2 hours\n", "x.yaml:2: ttl "),
        ("name: A\nstarts_at: 2027-05-01\n", "x.yaml:2: starts_at is not a date-time"),
        ("name: !!python/object:os.system A\n", "x.yaml:1: "),
        ("name: &a [*a]\n", "x.yaml:1: no YAML"),
        ("name: A\nstrategy: rules\n", "x.yaml:1: rules is missing"),
        ("campaign_id: 7\nname: A\n", "x.yaml:1: campaign_id is not of type string"),
    ],
)
def test_a_fault_is_one_line_with_its_file_and_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    code, output = run("campaigns", "validate", str(tmp_path))
    assert code == 2
    assert output.startswith(line), output
    assert "Traceback" not in output


def test_a_folder_that_is_none_is_one_line() -> None:
    code, output = run("campaigns", "validate", "/nonexistent/campaigns")
    assert (code, output.count("\n")) == (2, 1)
    assert "campaigns init" in output
