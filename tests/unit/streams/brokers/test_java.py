"""Finding Java and Maven."""

from pathlib import Path

import pytest

from streams.brokers.java import Java, find_java, find_maven
from streams.errors import ToolMissingError


def _program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _prints(version: str) -> str:
    return f"echo 'openjdk version \"{version}\" 2025-01-01' >&2"


def test_find_java_when_java_home_is_set_then_it_wins_over_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person's choice comes before what happens to be on PATH."""
    _program(tmp_path / "path", "java", _prints("17.0.1"))
    chosen = _program(tmp_path / "jdk" / "bin", "java", _prints("21.0.2"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert find_java() == Java(chosen, 21, "21.0.2")


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21", "16"])
def test_find_java_when_it_is_too_old_then_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Kafka 4 needs Java 17; the old way of counting (1.8) is understood."""
    _program(tmp_path / "bin", "java", _prints(version))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ToolMissingError, match=r"needs 17 or newer.*openjdk-17-jre-headless"):
        find_java()


def test_find_java_when_there_is_none_then_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways out are named: install it, or give a broker."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match=r"openjdk-17.*KAFKA_BOOTSTRAP_SERVERS"):
        find_java()


@pytest.mark.parametrize("text", ["echo hello >&2", "exit 1"])
def test_find_java_when_the_program_is_no_java_then_its_words_are_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A wrapper that prints no version is not trusted."""
    _program(tmp_path / "bin", "java", text)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ToolMissingError, match="names no Java version"):
        find_java()


def test_find_java_when_the_program_cannot_run_then_the_error_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher with a missing interpreter is reported, not raised through."""
    path = _program(tmp_path / "bin", "java", "")
    path.write_text("#!/absent/interpreter\n")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ToolMissingError, match="-version failed"):
        find_java()


def test_find_maven_when_there_is_none_then_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maven is needed once only, and the message says for what."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="apt-get install maven"):
        find_maven()
