"""Fetching and checking the broker's jars."""

import hashlib
import shutil
from pathlib import Path

import pytest

from streams.brokers import kafka_jars
from streams.brokers.kafka_jars import class_path, expected_checksums, render_pom, verify
from streams.errors import JarRefusedError, ToolMissingError

_A = hashlib.sha256(b"a").hexdigest()
_B = hashlib.sha256(b"b").hexdigest()


@pytest.fixture
def two_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the committed list name two small jars; return the cache they belong in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_jars, "expected_checksums", lambda: {"a.jar": _A, "b.jar": _B})
    return tmp_path / "tradewind" / f"kafka-{kafka_jars.KAFKA_VERSION}"


def _fake_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put a program called mvn on PATH; $out is the folder that it was told to fill."""
    path = tmp_path / "bin" / "mvn"
    path.parent.mkdir()
    find_target = 'for word; do out="${word#-DoutputDirectory=}"; done\n'
    path.write_text(f"#!/bin/sh\n{find_target}{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")


def test_expected_checksums_when_read_then_they_list_this_kafka_and_its_logging() -> None:
    """The committed list belongs to the version in the code."""
    expected = expected_checksums()
    assert {"kafka_2.13-4.1.2.jar", "kafka-clients-4.1.2.jar", "log4j-core-2.25.3.jar"} <= set(
        expected
    )
    assert {len(digest) for digest in expected.values()} == {64}


def test_render_pom_when_rendered_then_it_names_the_broker_and_no_repository() -> None:
    """Where Maven fetches from is the person's own setting."""
    pom = render_pom()
    assert "<artifactId>kafka_2.13</artifactId><version>4.1.2</version>" in pom
    assert "<repositor" not in pom


def test_verify_when_a_jar_was_changed_then_the_error_names_that_file(tmp_path: Path) -> None:
    """One changed byte is enough to refuse, and the way out is in the message."""
    (tmp_path / "a.jar").write_bytes(b"a")
    (tmp_path / "b.jar").write_bytes(b"c")
    with pytest.raises(JarRefusedError, match=r"b\.jar has sha256 .* Delete that file"):
        verify(tmp_path, {"a.jar": _A, "b.jar": _B})


def test_class_path_when_all_jars_are_cached_then_maven_is_not_needed(
    two_jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second start works offline; a foreign file in the folder is not loaded."""
    two_jars.mkdir(parents=True)
    for name in ("a", "b", "x"):
        (two_jars / f"{name}.jar").write_text(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert class_path() == f"{two_jars}/a.jar:{two_jars}/b.jar"


def test_class_path_when_one_jar_is_missing_then_it_is_fetched_and_checked(
    two_jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Maven fetched is moved into the cache, and no work folder is left."""
    two_jars.mkdir(parents=True)
    (two_jars / "a.jar").write_text("a")
    _fake_maven(
        tmp_path, monkeypatch, 'mkdir "$out"; printf a >"$out/a.jar"; printf b >"$out/b.jar"'
    )
    assert class_path() == f"{two_jars}/a.jar:{two_jars}/b.jar"
    assert sorted(path.name for path in two_jars.iterdir()) == ["a.jar", "b.jar", "fetch.lock"]


def test_class_path_when_maven_delivers_another_file_then_it_never_enters_the_cache(
    two_jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A jar is checked before it is moved to where a broker would load it."""
    _fake_maven(
        tmp_path, monkeypatch, 'mkdir "$out"; printf a >"$out/a.jar"; printf z >"$out/b.jar"'
    )
    with pytest.raises(JarRefusedError, match=r"b\.jar has sha256"):
        class_path()
    assert [path.name for path in two_jars.iterdir()] == ["fetch.lock"]


def test_class_path_when_maven_fails_then_its_last_lines_are_quoted(
    two_jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person sees what Maven said."""
    _fake_maven(tmp_path, monkeypatch, "echo no route to repository; exit 1")
    with pytest.raises(ToolMissingError, match=r"exit 1.*\n?.*no route to repository"):
        class_path()
    shutil.rmtree(two_jars)


def test_class_path_when_maven_hangs_then_the_wait_is_bounded(
    two_jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead line ends in an error that says what to check."""
    _fake_maven(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(kafka_jars, "_FETCH_S", 0.2)
    with pytest.raises(ToolMissingError, match=r"within 0\.2 s"):
        class_path()
    assert two_jars.is_dir()
