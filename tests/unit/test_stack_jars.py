"""Jars arrive whole and proven, or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from runtime.settings import StackSettings
from runtime.stack import jars
from runtime.stack.jars import Jar
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit

GOOD, BAD = b"a jar", b"half a j"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(GOOD).hexdigest())


@dataclass
class FakeMaven:
    """Stands for jgo: what lies in its local repository, and what each download brings."""

    folder: Path
    local: bytes | None = None
    downloads: list[bytes | Exception] = field(default_factory=list)

    @property
    def resolver(self) -> FakeMaven:
        return self

    @property
    def cached_path(self) -> Path:
        return self.folder / "cached.jar"

    def project(self, _group: str, _artifact: str) -> FakeMaven:
        return self

    def at_version(self, _version: str) -> FakeMaven:
        return self

    def artifact(self) -> FakeMaven:
        return self

    def resolve(self) -> Path:
        return self.download(self) if self.local is None else self._store(self.local)

    def download(self, _artifact: FakeMaven) -> Path:
        found = self.downloads.pop(0)
        if isinstance(found, Exception):
            raise found
        return self._store(found)

    def _store(self, content: bytes) -> Path:
        self.cached_path.write_bytes(content)
        return self.cached_path


def fetch(maven: Any, tmp_path: Path) -> bytes:
    jars.fetch_one(maven, JAR, tmp_path, tries_max=3)
    return (tmp_path / JAR.name).read_bytes()


def test_a_jar_at_hand_is_linked(tmp_path: Path) -> None:
    assert fetch(FakeMaven(tmp_path, local=GOOD), tmp_path) == GOOD


def test_a_damaged_local_jar_is_fetched_anew(tmp_path: Path) -> None:
    assert fetch(FakeMaven(tmp_path, local=BAD, downloads=[GOOD]), tmp_path) == GOOD


def test_a_broken_transfer_is_tried_again(tmp_path: Path) -> None:
    assert fetch(FakeMaven(tmp_path, downloads=[OSError("cut"), BAD, GOOD]), tmp_path) == GOOD


@pytest.mark.parametrize(
    ("downloads", "why"), [([BAD] * 3, "SHA-256"), ([OSError("cut")] * 3, "cut"), ([BAD, BAD, OSError("cut")], "cut")]
)
def test_what_never_comes_whole_is_reported_and_not_kept(tmp_path: Path, downloads: list[Any], why: str) -> None:
    with pytest.raises(StackError, match=f"{why}.*jgo.conf"):
        fetch(FakeMaven(tmp_path, downloads=downloads), tmp_path)
    assert not (tmp_path / JAR.name).exists()
    assert not (tmp_path / "cached.jar").exists()


def test_nothing_is_fetched_when_all_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "locked", lambda: (JAR, Jar("org.apache.kafka", "kafka_2.13", "4.0", "x")))
    folder = tmp_path / "kafka-4.0"
    folder.mkdir()
    for path in jars.paths(folder):
        path.write_bytes(GOOD)
    monkeypatch.setattr(jars, "_maven", lambda *_: pytest.fail("asked for the network"))
    assert jars.fetch(tmp_path, StackSettings()) == folder
    installed = jars.install(folder, tmp_path / "home")
    assert [path.read_bytes() for path in installed] == [GOOD, GOOD]
    assert jars.install(folder, tmp_path / "home") == installed


def test_what_is_missing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Jar("org.apache.kafka", "kafka_2.13", "4.0", JAR.sha256)
    monkeypatch.setattr(jars, "locked", lambda: (good,))
    monkeypatch.setattr(jars, "_maven", lambda *_: FakeMaven(tmp_path, downloads=[GOOD]))
    assert (jars.fetch(tmp_path, StackSettings()) / good.name).read_bytes() == GOOD


def test_a_jar_is_copied_where_links_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "a").write_bytes(GOOD)
    jars.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == GOOD


def test_the_cache_is_in_the_home_where_the_users_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "cache"))
    assert jars.default_cache(tmp_path / "home") == tmp_path / "cache" / "ratchet"
    (tmp_path / "file").touch()
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "file"))
    assert jars.default_cache(tmp_path / "home") == tmp_path / "home" / "tools"


def test_a_mirror_of_jgos_configuration_stands_for_maven_central(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "jgo.conf"))
    make: Callable[..., Any] = jars._maven
    assert list(make(tmp_path, StackSettings()).remote_repos) == ["central"]
    (tmp_path / "jgo.conf").write_text("[repositories]\nmirror = https://mirror.invalid/maven\n")
    assert make(tmp_path, StackSettings()).remote_repos == {"mirror": "https://mirror.invalid/maven"}


def test_fetching_ahead_of_time_skips_what_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from runtime.stack import __main__ as ahead

    monkeypatch.setattr(ahead.jars, "fetch", lambda *_: pytest.fail("fetched"))
    monkeypatch.setattr(ahead, "load", lambda: SimpleNamespace(embedded=lambda: False))
    assert ahead.main() == 0


def test_fetching_ahead_of_time_tells_what_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime.stack import __main__ as ahead

    settings = SimpleNamespace(embedded=lambda: True, test_stack="embedded", home=tmp_path, stack=StackSettings())
    monkeypatch.setattr(ahead, "load", lambda: settings)
    monkeypatch.setattr(ahead.jars, "default_cache", lambda _: tmp_path)
    monkeypatch.setattr(ahead.jars, "fetch", lambda *_: (_ for _ in ()).throw(StackError("no network")))
    assert ahead.main() == 2
    assert "no network" in capsys.readouterr().err
