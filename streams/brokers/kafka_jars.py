"""The broker's jars: fetched once by Maven coordinates, checked before every use."""

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from streams.brokers.homes import cache_home, private_folder
from streams.brokers.java import find_maven
from streams.brokers.locks import FileLock
from streams.errors import JarRefusedError, ToolMissingError

KAFKA_VERSION = "4.1.2"
# The logging implementation behind slf4j 1.7, as this Kafka release ships it.
_LOG4J_VERSION = "2.25.3"
_COORDINATES = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", _LOG4J_VERSION),
    ("org.apache.logging.log4j", "log4j-core", _LOG4J_VERSION),
)
_COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
# 43 MB; ten minutes allow a line of 0.6 Mbit/s.
_FETCH_S = 600.0
_MAVEN_LINES = 15


def jar_folder() -> Path:
    """Return the folder in which all stacks of this user share the jars."""
    return cache_home() / f"kafka-{KAFKA_VERSION}"


def expected_checksums() -> dict[str, str]:
    """Return the committed list as file name -> sha256, in the order of the class path."""
    text = Path(__file__).with_name(f"kafka-{KAFKA_VERSION}.sha256").read_text()
    pairs = (line.split() for line in text.splitlines())
    return {name: digest for digest, name in pairs}


def jars_cached() -> bool:
    """Return whether every listed jar is in the cache; the contents are not read."""
    return not _missing(jar_folder(), expected_checksums())


def class_path() -> str:
    """Return the class path of the checked jars; fetch those that are not cached yet."""
    expected = expected_checksums()
    folder = private_folder(jar_folder())
    if _missing(folder, expected):
        with FileLock.take(folder / "fetch.lock"):
            _fetch(folder, expected)
    verify(folder, expected)
    return ":".join(str(folder / name) for name in expected)


def verify(folder: Path, expected: Mapping[str, str]) -> None:
    """Refuse the jars of ``folder`` unless each listed one is there with its checksum."""
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise JarRefusedError(f"{path} is missing; Maven did not deliver what the list names.")
        with path.open("rb") as jar:
            found = hashlib.file_digest(jar, "sha256").hexdigest()
        if found != digest:
            raise JarRefusedError(
                f"{path} has sha256 {found}, expected {digest}."
                " Delete that file and start again: it is fetched anew and checked."
            )


def render_pom() -> str:
    """Return a Maven project that depends on the broker and on nothing else."""
    dependencies = "\n".join(
        f"    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>"
        for group, artifact, version in _COORDINATES
    )
    return f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tradewind</groupId>
  <artifactId>broker</artifactId>
  <version>{KAFKA_VERSION}</version>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""


def _missing(folder: Path, expected: Mapping[str, str]) -> list[str]:
    return [name for name in expected if not (folder / name).is_file()]


def _fetch(folder: Path, expected: Mapping[str, str]) -> None:
    """Fetch all jars beside ``folder``, check them there, and move the missing ones in."""
    if not _missing(folder, expected):
        return  # another process fetched them while we waited for the lock
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as work:
        pom = Path(work, "pom.xml")
        pom.write_text(render_pom())
        fetched = Path(work, "jars")
        _run_maven(pom, fetched)
        verify(fetched, expected)
        for name in _missing(folder, expected):
            (fetched / name).replace(folder / name)


def _run_maven(pom: Path, target: Path) -> None:
    command = [
        str(find_maven()),
        "--batch-mode",
        "--quiet",
        "--no-transfer-progress",
        f"--file={pom}",
        _COPY_GOAL,
        "-DincludeScope=runtime",
        f"-DoutputDirectory={target}",
    ]
    try:
        ran = subprocess.run(  # noqa: S603  Maven by its absolute path, arguments of our own
            command, capture_output=True, text=True, timeout=_FETCH_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolMissingError(
            f"Maven did not fetch Apache Kafka {KAFKA_VERSION} within {_FETCH_S:g} s."
            " Check the line to your Maven repository and start again; it continues."
        ) from error
    if ran.returncode != 0:
        tail = "\n".join((ran.stdout + ran.stderr).splitlines()[-_MAVEN_LINES:])
        raise ToolMissingError(
            f"Maven could not fetch Apache Kafka {KAFKA_VERSION} (exit {ran.returncode})."
            f" Check the line to your Maven repository (settings.xml). Its last lines:\n{tail}"
        )
