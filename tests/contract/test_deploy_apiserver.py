"""What `make deploy-check` builds and asks of a kube-apiserver: its versions, and the documents that it makes."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from deploy_files import DEPLOY, chart_objects

sys.path.insert(0, str(DEPLOY))
import api_server
import check
import go_tools

pytestmark = pytest.mark.unit


def test_the_api_server_is_built_of_one_version_the_newest_that_the_chart_is_held_against() -> None:
    version = go_tools.kubernetes_version()
    assert version.startswith(f"v{check.KUBERNETES[-1].rpartition('.')[0]}.")
    module = (go_tools.APISERVER / "go.mod").read_text()
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) (\S+)$", module, re.MULTILINE)
    assert len(replaced) > 30
    of_kubernetes = version.replace("v1.", "v0.", 1)
    assert [one for one in replaced if one != (one[0], one[0], of_kubernetes)] == []


@pytest.mark.parametrize("document", chart_objects(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_document_is_posted_once_more_with_a_field_that_it_does_not_have(document: dict[str, Any]) -> None:
    text = str(document)
    wrong = api_server.misspelled(document)
    assert str(wrong).count("'noSuchField': 1") == 1
    assert str(document) == text, "what is right is left as it is"
    pod = api_server.pod_of(document)
    assert (pod is not None) == (document["kind"] in {"Deployment", "Job"})
    if pod is not None:
        assert pod["spec"] == document["spec"]["template"]["spec"]
        assert pod["metadata"]["labels"]["app.kubernetes.io/component"]
        assert "noSuchField" in wrong["spec"]["template"]["spec"]["containers"][0]
