"""Find the programs that the embedded broker needs: a Java of the right age, and Maven."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from streams.errors import ToolMissingError

JAVA_OLDEST = 17
JAVA_REMEDY = "apt-get install openjdk-17-jre-headless (or point JAVA_HOME to a Java 17+)"
MAVEN_REMEDY = "apt-get install maven"
# `java -version` takes 30 ms; ten seconds mean that it hangs.
_ANSWER_S = 10.0
_VERSION = re.compile(r'version "(?:1\.)?(\d+)([^"]*)"')


@dataclass(frozen=True)
class Java:
    """A Java launcher and its version."""

    path: Path
    major: int
    version: str


def find_java() -> Java:
    """Return the Java of ``JAVA_HOME``, else of ``PATH``; refuse one older than Java 17."""
    path = _java_path()
    text = _version_text(path)
    found = _VERSION.search(text)
    if found is None:
        raise ToolMissingError(
            f"{path} -version said {text.strip()[:200]!r}, which names no Java version."
            f" {JAVA_REMEDY}"
        )
    java = Java(path, int(found[1]), found[1] + found[2])
    if java.major < JAVA_OLDEST:
        raise ToolMissingError(
            f"{path} is Java {java.version}; the broker needs {JAVA_OLDEST} or newer. {JAVA_REMEDY}"
        )
    return java


def find_maven() -> Path:
    """Return the path of Maven's launcher."""
    path = shutil.which("mvn")
    if path is None:
        raise ToolMissingError(
            "mvn was not found on PATH; it fetches the broker's jars once."
            f" {MAVEN_REMEDY}, or set KAFKA_BOOTSTRAP_SERVERS to a broker of yours."
        )
    return Path(path).absolute()


def _java_path() -> Path:
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if path is None:
        where = f"in JAVA_HOME={home}" if home else "on PATH (JAVA_HOME is not set)"
        raise ToolMissingError(
            f"java was not found {where}; the embedded broker needs {JAVA_OLDEST} or newer."
            f" {JAVA_REMEDY}, or set KAFKA_BOOTSTRAP_SERVERS to a broker of yours."
        )
    return Path(path).absolute()


def _version_text(path: Path) -> str:
    try:
        ran = subprocess.run(  # noqa: S603  the launcher that PATH or JAVA_HOME names
            [str(path), "-version"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissingError(f"{path} -version failed: {error}. {JAVA_REMEDY}") from error
    return ran.stderr + ran.stdout
