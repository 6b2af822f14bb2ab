"""deploy/kafka/rights.sh: what it grants is named after the prefix and the group of the settings."""

from __future__ import annotations

import itertools
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from deploy_files import DEPLOY

from schemas.topics import topics_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


WORDS_WITHOUT = ("RATCHET_", "SEAL_TOPIC")


def stated(folder: Path, **environment: str) -> list[str]:
    """Return the words that the script gives the tool."""
    tool, reported = folder / "kafka-acls.sh", folder / "reported"
    tool.write_text(f'#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done >> {reported}\n')
    tool.chmod(0o755)
    reported.unlink(missing_ok=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith(WORDS_WITHOUT)}
    words = ["sh", str(DEPLOY / "kafka" / "rights.sh"), str(tool), "broker:9092", "admin"]
    subprocess.run(words, check=True, env=own | environment)
    return reported.read_text().splitlines()


def test_names_are_those_of_the_settings(tmp_path: Path) -> None:
    default = stated(tmp_path)
    own = stated(tmp_path, RATCHET_KAFKA__TOPIC_PREFIX="acme.pay-", RATCHET_KAFKA__GROUP="team/a:*")
    changed = {topic.name: topic.name.replace("payments.", "acme.pay-") for topic in topics_of().all}
    changed |= {"payments.": "acme.pay-", "ratchet": "team/a:*"}
    assert own == [changed.get(word, word) for word in default]
    assert {"acme.pay-webhooks", "acme.pay-dlq", "team/a:*"} < set(own)
    assert not any("payments." in word for word in own)


def test_it_waits_for_a_broker_that_is_starting(tmp_path: Path) -> None:
    """Podman calls a container healthy for as long as its start period lasts, whatever its check says."""
    tool, asked, granted = tmp_path / "kafka-acls.sh", tmp_path / "asked", tmp_path / "granted"
    tool.write_text(
        f"#!/bin/sh\n[ -e {asked} ] || {{ touch {asked}; exit 1; }}\n"
        f'case " $* " in *" User:ratchet-ingress "*) touch {granted} ;; esac\n'
    )
    tool.chmod(0o755)
    subprocess.run(["sh", str(DEPLOY / "kafka" / "rights.sh"), str(tool), "broker:9092", "admin"], check=True)
    assert granted.exists()


def test_the_topic_of_seals_is_written_by_the_command_line_alone(tmp_path: Path) -> None:
    default, sealing = stated(tmp_path), stated(tmp_path, SEAL_TOPIC="ratchet-seals")
    added = sealing[len(default) :]
    assert sealing[: len(default)] == default
    assert [word for word in added if word.startswith("User:")] == ["User:ratchet-ops"]
    operations = [after for word, after in itertools.pairwise(added) if word == "--operation"]
    assert (operations, added[-2:]) == (["Create", "Write", "Read"], ["--topic", "ratchet-seals"])


def test_a_topic_of_seals_below_the_prefix_is_refused(tmp_path: Path) -> None:
    """The relay may write to all that begins with it."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        stated(tmp_path, SEAL_TOPIC="payments.seals")
    assert refused.value.returncode == 2
    assert not (tmp_path / "reported").exists(), "nothing is granted"
