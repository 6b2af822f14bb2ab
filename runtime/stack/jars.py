"""Kafka's jars: fetched once into the tools' cache, proven by their SHA-256, and linked into the home.

`kafka.lock` names each jar and its digest, so the set never depends on a resolver's choice of the day. jgo fetches them
from Maven Central, or from the repositories of its own configuration file (`[repositories]` of jgo.conf). Nothing is
fetched when all are there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runtime.stack.progress import counting
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jgo.maven import MavenContext

    from runtime.settings import StackSettings

LOCK_FILE: Final = Path(__file__).with_name("kafka.lock")


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked(text: str | None = None) -> tuple[Jar, ...]:
    """Return the jars of the lock."""
    lines = (LOCK_FILE.read_text(encoding="utf-8") if text is None else text).splitlines()
    jars = []
    for line in lines:
        if line and not line.startswith("#"):
            coordinate, sha256 = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return tuple(jars)


def kafka_version() -> str:
    """Return the version of Kafka that the lock pins."""
    return next(jar.version for jar in locked() if jar.artifact == "kafka_2.13")


def default_cache(home: Path) -> Path:
    """Return the folder that homes share: in jgo's cache, or in the home where that can't be written."""
    from jgo.constants import default_jgo_cache

    cache = default_jgo_cache() / "ratchet"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return home / "tools"
    return cache if os.access(cache, os.W_OK) else home / "tools"


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Let one process at a time work on the cache; the kernel ends the lock with its holder."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(cache: Path, settings: StackSettings) -> Path:
    """Return the cache's folder of proven jars, fetching what is missing; raise StackError if one can't be had."""
    folder = cache / f"kafka-{kafka_version()}"
    with alone(cache):
        folder.mkdir(exist_ok=True)
        missing = [jar for jar in locked() if not (folder / jar.name).exists()]
        if missing:
            context = _maven(cache, settings)
            with counting(f"fetching Kafka {kafka_version()}", len(missing)) as advance:
                _fetch_all(context, missing, folder, settings, advance)
    return folder


def _maven(cache: Path, settings: StackSettings) -> MavenContext:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    configured = GlobalSettings.load()
    return MavenContext(
        repo_cache=cache / "m2",
        local_repos=[configured.repo_cache],
        remote_repos=configured.repositories or {"central": MAVEN_CENTRAL_URL},
        timeout=settings.download_timeout_seconds,
    )


def _fetch_all(context: MavenContext, jars: list[Jar], folder: Path, settings: StackSettings, advance: Any) -> None:
    def one(jar: Jar) -> None:
        fetch_one(context, jar, folder, settings.download_tries_max)
        advance()

    with ThreadPoolExecutor(settings.download_threads) as pool:
        list(pool.map(one, jars))


def fetch_one(context: MavenContext, jar: Jar, folder: Path, tries_max: int) -> None:
    """Bring one jar into the folder, whole and proven, or raise StackError."""
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    why = ""
    for attempt in range(tries_max):
        try:
            # What lies in a local repository may be damaged; after a failure only the network is asked.
            path = artifact.resolve() if attempt == 0 else context.resolver.download(artifact)
            if path is not None and digest(path) == jar.sha256:
                link(path, folder / jar.name)
                return
            why = "its SHA-256 is not the locked one"
        except Exception as error:  # noqa: BLE001 - jgo raises what requests, the disk and itself raise
            why = f"{type(error).__name__}: {error}"
        if artifact.cached_path is not None:
            artifact.cached_path.unlink(missing_ok=True)
    raise StackError(
        f"{jar.name} of Kafka cannot be fetched: {why}. Check the network or a proxy (HTTPS_PROXY), or name a mirror "
        "in the [repositories] of jgo's configuration file (jgo.conf), then start again: what is here already stays"
    )


def link(source: Path, target: Path) -> None:
    """Put a file under another name: a hard link, or a copy where links can't be; the target appears whole."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        os.link(source, draft)
    except OSError:
        shutil.copy2(source, draft)
    draft.replace(target)


def paths(folder: Path) -> tuple[Path, ...]:
    """Return the jars' paths in a folder, in the order of the class path."""
    return tuple(folder / jar.name for jar in locked())


def install(folder: Path, target: Path) -> tuple[Path, ...]:
    """Link the proven jars into a home and return their paths there."""
    target.mkdir(parents=True, exist_ok=True)
    for source, path in zip(paths(folder), paths(target), strict=True):
        if not path.exists():
            link(source, path)
    return paths(target)
