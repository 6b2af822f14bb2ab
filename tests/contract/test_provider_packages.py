"""Providers from outside: the recipe as a package of its own is a provider, and the check tells good from bad."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from test_recipe import BACK, PAID, ROW, case

import providers
from ops import provider_check
from schemas.errors import SettingsError

pytestmark = [pytest.mark.unit, pytest.mark.timeout(120)]

HERE = Path(__file__).parent
RECIPE = (HERE / "recipe" / "acme.py").read_text()


def package(folder: Path, source: str, name: str = "acme", value: str = "ratchet_acme:PROVIDER") -> Path:
    """Write a package with its metadata, as an installer leaves it, and the requests and lives of the provider."""
    module, metadata = folder / "ratchet_acme", folder / "ratchet_acme-1.0.dist-info"
    module.mkdir()
    (module / "__init__.py").write_text(source)
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ratchet-acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[ratchet.providers]\n{name} = {value}\n")
    cases = [case("paid", PAID), case("refunded", BACK), case("wrong", PAID, signed_with="another", reason="x")]
    life = {"name": "a life", "events": [{"case": "paid"}, {"case": "refunded"}], "row": ROW}
    for kind, content in {"vectors": {"cases": cases}, "traces": {"lives": [life]}}.items():
        (folder / kind).mkdir()
        (folder / kind / "acme.json").write_text(json.dumps(content))
    return folder


def ratchet(folder: Path, *words: str) -> tuple[int, Any]:
    """Run a command with the package beside Ratchet's own; return its exit status and what it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RATCHET_", "COV"))}
    environment |= {"PYTHONPATH": os.pathsep.join([str(folder), str(HERE.parent.parent)])}
    result = subprocess.run(
        [sys.executable, "-P", "-m", "ops.cli", "provider", *words], env=environment, capture_output=True, text=True,
        cwd=folder, check=False,
    )  # fmt: skip
    return result.returncode, json.loads(result.stdout) if result.stdout.startswith("{") else result.stderr


def test_the_recipe_as_a_package_is_a_provider_that_keeps_the_contract(tmp_path: Path) -> None:
    folder = package(tmp_path, RECIPE)
    _, listed = ratchet(folder, "list", "--json")
    assert (listed["providers"]["acme"], listed["providers"]["stripe"]) == ("ratchet-acme", None)
    status, checked = ratchet(folder, "check", "acme", "--folder", ".", "--json")
    assert (status, checked["holds"]) == (0, True), checked
    tried = {part["name"]: part["tried"] for part in checked["checked"]}
    assert tried["requests"] == 4
    assert tried["orders"] == 2
    assert min(tried["forgeries"], tried["arbitrary bytes"]) > 100


@pytest.mark.parametrize(
    ("good", "bad", "part"),
    [
        ('    check_body_mac(request, "acme-signature", hmac_hex)\n', "", "forgeries"),
        ("    event = read_event(body)\n", '    event = json.loads(body) if body[:1] == b"{" else body.missing\n',
         "arbitrary bytes"),
        ('refund(own, "succeeded", amount', 'refund(own, "succeeded", amount + 1', "orders"),
        ('text_at(event, "payment")', 'text_at(event, "id")', "requests"),
    ],
)  # fmt: skip
def test_what_breaks_the_contract_is_reported(tmp_path: Path, good: str, bad: str, part: str) -> None:
    assert good in RECIPE
    source = RECIPE.replace(good, bad).replace("from typing import Final", "import json\nfrom typing import Final")
    status, checked = ratchet(package(tmp_path, source), "check", "acme", "--folder", ".", "--json")
    assert (status, checked["holds"]) == (1, False)
    assert part in {one["name"] for one in checked["checked"] if one["problems"]}


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("import nowhere_at_all", "ratchet_acme:PROVIDER", "cannot be imported"),
        ("PROVIDER = 7", "ratchet_acme:PROVIDER", "is no Provider of that name"),
        (RECIPE.replace('Provider("acme"', 'Provider("other"'), "ratchet_acme:PROVIDER", "is no Provider of that name"),
    ],
)
def test_a_package_that_can_not_be_used_is_named(tmp_path: Path, source: str, value: str, expected: str) -> None:
    status, reported = ratchet(package(tmp_path, source, value=value), "check", "acme", "--folder", ".")
    assert status == 2
    assert expected in reported
    assert "ratchet-acme" in reported


@pytest.mark.parametrize(
    ("source", "refusal"),
    [
        (RECIPE, None),
        ("import nowhere_at_all", "package ratchet_acme:PROVIDER cannot be imported"),
        ("PROVIDER = 7", "is no Provider of that name"),
        (RECIPE.replace('Provider("acme"', 'Provider("other"'), "is no Provider of that name"),
    ],
)
def test_a_name_that_is_not_ours_is_imported_from_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, refusal: str | None
) -> None:
    monkeypatch.syspath_prepend(package(tmp_path, source))
    monkeypatch.delitem(sys.modules, "ratchet_acme", raising=False)
    entry = EntryPoint("acme", "ratchet_acme:PROVIDER", providers.ENTRY_POINTS)
    monkeypatch.setattr(providers, "from_outside", lambda: {"acme": entry})
    load = providers._load.__wrapped__
    if refusal is None:
        assert load("acme").name == "acme"
    else:
        with pytest.raises(SettingsError, match=refusal):
            load("acme")
    monkeypatch.delitem(sys.modules, "ratchet_acme", raising=False)


def test_no_package_takes_a_name_of_ours_over(tmp_path: Path) -> None:
    shutil.copytree(HERE / "vectors", tmp_path / "ours" / "vectors")
    folder = package(tmp_path, RECIPE.replace('Provider("acme"', 'Provider("github"'), name="github")
    assert ratchet(folder, "list", "--json")[1]["providers"]["github"] is None
    assert ratchet(folder, "check", "github", "--folder", "ours", "--json")[0] == 0


@pytest.mark.parametrize("name", sorted(providers.built_in()))
def test_every_provider_of_ours_keeps_it(name: str) -> None:
    parts = provider_check.check(name, *provider_check.read_folder(HERE, name))
    assert {part.name: part.problems for part in parts if part.problems} == {}


def test_a_provider_that_is_none_is_reported(tmp_path: Path) -> None:
    assert ratchet(tmp_path, "check", "nobody")[0] == 2
    assert "the requests to check, cannot be read" in ratchet(tmp_path, "check", "stripe", "--folder", ".")[1]
    with pytest.raises(LookupError):
        provider_check.check("nobody", [], [])
