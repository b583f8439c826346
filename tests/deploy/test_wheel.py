"""The wheel holds all that the package needs, far from the repository."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.kafka.install import ROOT

LINTER = {
    f"{layer}/ruff.toml" for layer in ("broker", "client", "host", "worker")
}  # of use beside the sources only


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as an installer would lay it out."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def files_of(folder: Path, pattern: str) -> set[str]:
    """Relative names of the files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob(pattern)}


def test_the_schemas_are_package_data(unpacked: Path) -> None:
    repository = files_of(ROOT / "schemas", "*.json")
    assert repository
    assert files_of(unpacked / "stream" / "schemas", "*.json") == repository


def test_every_module_and_mapping_is_there(unpacked: Path) -> None:
    for pattern in ("*.py", "*.toml", "py.typed"):
        inside = files_of(ROOT / "stream", pattern) - LINTER
        assert inside
        assert files_of(unpacked / "stream", pattern) - files_of(ROOT / "schemas", "*") == inside


def test_the_command_and_the_local_transport_are_announced(unpacked: Path) -> None:
    (file,) = unpacked.glob("*.dist-info/entry_points.txt")
    announced = ConfigParser()
    announced.read(file)
    assert announced["console_scripts"]["offerstream"] == "stream.cli:main"
    assert announced["faust.transports"]["local"] == "stream.worker.faust.local.transport:Transport"


def test_what_is_installed_finds_its_schemas_and_mappings(unpacked: Path) -> None:
    code = (
        "import stream.codec.schema as s, stream.replay.mapping_file as m;"
        "print(s.__file__); print(s.schemas_root()); print(*m.shipped_mappings())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked,
        env={"PYTHONPATH": str(unpacked)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    module, schemas, mappings = done.stdout.splitlines()
    assert module == str(unpacked / "stream/codec/schema.py")
    assert schemas == str(unpacked / "stream/schemas")
    assert "rees46" in mappings.split()
