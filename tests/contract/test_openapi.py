"""The OpenAPI document: valid, whole, and of one mind with the catalogue and the models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

import providers
from producers.ingress.intents import keys, routes
from producers.ingress.intents.wiring import verifications_of
from producers.ingress.routes import parse
from schemas import metadata, problems
from schemas.openapi import document
from schemas.problems import CATALOGUE, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

VERIFICATIONS = verifications_of(providers.names())
DOCUMENT = document(providers.paying(), "https://pay.example", VERIFICATIONS)
SLUGS = {problem.slug: problem for problem in CATALOGUE}
METHODS = ("get", "post")


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, item[method]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(member)


def test_every_reference_leads_somewhere() -> None:
    references = [node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)]
    assert references
    for reference in references:
        place: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_schema_is_a_schema() -> None:
    for name in DOCUMENT["components"]["schemas"]:
        jsonschema_rs.validator_for({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})


def test_every_error_is_in_the_catalogue() -> None:
    shown = [
        (int(status), slug, example["value"])
        for _, operation in operations()
        for status, answer in operation["responses"].items()
        for slug, example in answer.get("content", {}).get(problems.MEDIA_TYPE, {}).get("examples", {}).items()
    ]
    assert shown
    for status, slug, value in shown:
        problem = SLUGS[slug]
        assert value == {"type": problem.type, "title": problem.title, "status": status} == value
        assert problem.status == status


def test_the_catalogue_holds_every_problem_once() -> None:
    defined = [value for value in vars(problems).values() if isinstance(value, Problem)]
    assert sorted(problem.slug for problem in defined) == sorted(SLUGS)
    assert len(SLUGS) == len(CATALOGUE)


def test_operations_are_named_once_and_linked() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names)) == 14
    links = DOCUMENT["paths"]["/payment-intents"]["post"]["responses"]["202"]["links"]
    assert {link["operationId"] for link in links.values()} <= set(names)
    assert len(links) == 5


def test_every_path_of_the_api_is_one_that_the_ingress_knows() -> None:
    for path, operation in operations():
        if not path.startswith(routes.PREFIX):
            continue
        found = routes.parse(path.replace("{id}", "0196f3c2-7b1e-7d3a-9c4f-0123456789ab"))
        assert found is not None
        assert found.template == path
        assert operation["security"] == [{"apiKey": []}]
        assert {"401", "405", "503"} <= set(operation["responses"])
        if found.methods == ("POST",):
            assert {"400", "409", "413", "415", "422"} <= set(operation["responses"])


def test_the_key_is_described_as_it_is_read() -> None:
    pattern = DOCUMENT["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"]
    for text in ("0196f3c2-7b1e-7d3a-9c4f-0123456789ab", '"0196F3C2-7B1E-7D3A-9C4F-0123456789AB"', '"0196f3c2', "x"):
        assert bool(re.search(pattern, text)) is not isinstance(keys.parse([text]), Problem)


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        ({}, True),
        ({"a": [None, True, 1, 1.5, "x", {"b": {}}]}, True),
        ({"a": {"b": {"c": {}}}}, True),
        ({"a": {"b": {"c": {"d": {}}}}}, False),
        ({"a": "\x00"}, False),
        ({"a": "x" * 501}, False),
        ({"x" * 65: 1}, False),
        ({"a": 2**53}, False),
        ({"a": [1] * 51}, False),
    ],
)
def test_metadata_is_described_as_it_is_checked(expected: dict[str, Any], *, fits: bool) -> None:
    assert jsonschema_rs.is_valid(metadata.json_schema(), expected) is fits
    if fits:
        assert metadata.checked(expected) == expected
    else:
        with pytest.raises(ValueError, match=r"holds|nested"):
            metadata.checked(expected)


def test_no_secret_and_no_phone_is_ever_answered() -> None:
    for name in ("Accepted", "Asked", "PaymentAnswer", "Timeline"):
        assert "phone" not in DOCUMENT["components"]["schemas"][name]["properties"]


def test_webhooks_are_described_with_what_proves_them_and_every_answer() -> None:
    webhook = DOCUMENT["paths"]["/webhooks/{provider}"]
    assert webhook["parameters"][0]["schema"]["enum"] == sorted(set(providers.names()) - {"mpesa"})
    reported = {parameter["name"] for parameter in webhook["post"]["parameters"]}
    assert {"Stripe-Signature", "PayPal-Transmission-Sig", "X-Hub-Signature-256"} <= reported
    assert set(webhook["post"]["responses"]) == {"202", "400", "401", "404", "405", "408", "413", "429", "431", "503"}
    assert "/webhooks/{provider}" not in document(["stripe"], "https://pay.example")["paths"]


def test_every_path_of_a_webhook_is_one_that_the_ingress_knows() -> None:
    """Names are as the document has them, but for the providers whose secret stands in the path."""
    shown = [path for path, _ in operations() if path.startswith("/webhooks/")]
    parsed = [parse(path.replace("{provider}", "stripe").replace("{account}", "acme")) for path in shown]
    assert [one.template.replace("{provider}", one.provider) if one else None for one in parsed] == [
        path.replace("{provider}", "stripe") for path in shown
    ]
    assert [path for path in shown if "secret" in path] == [
        "/webhooks/mpesa/{secret}",
        "/webhooks/mpesa/{account}/{secret}",
    ]


@pytest.mark.parametrize(("name", "expected"), [("paypal", True), ("stripe", False)])
def test_an_answer_that_one_provider_alone_gets_is_reported_of_it_alone(name: str, *, expected: bool) -> None:
    post = document(["stripe"], "https://pay.example", {name: VERIFICATIONS[name]})["paths"]["/webhooks/{provider}"][
        "post"
    ]
    shown = post["responses"]["503"]["content"][problems.MEDIA_TYPE]["examples"]
    assert ("proof-unavailable" in shown) is expected
    assert ("proof-unavailable" in post["description"]) is expected


def test_every_problem_is_answered_somewhere() -> None:
    examples = [node["examples"] for node in nodes(DOCUMENT) if isinstance(node.get("examples"), dict)]
    assert {slug for one in examples for slug in one} == set(SLUGS)


@pytest.mark.parametrize("name", sorted(name for name, one in VERIFICATIONS.items() if one.headers))
def test_the_headers_that_prove_a_request_are_those_of_its_vectors(name: str) -> None:
    cases = json.loads((Path(__file__).parent / "vectors" / f"{name}.json").read_text())["cases"]
    sent = {header.lower() for case in cases if case["expect"] == "accept" for header in case["headers"]}
    assert {header.lower() for header in VERIFICATIONS[name].headers} <= sent
