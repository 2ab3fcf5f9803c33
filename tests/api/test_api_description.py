"""openapi.yaml, the models and the routes say the same: a change on one side alone fails here."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from edge_api import models, uploads
from edge_api.contract import contract
from edge_api.page import STATIC

CHECKED = {
    "type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "items",
    "properties", "required", "additionalProperties", "maxProperties", "default",
}  # fmt: skip


def normal(schema: dict, definitions: dict) -> dict:
    """A schema as plain as it gets: references and unions with null dissolved, words left out."""
    if "$ref" in schema:
        return normal(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            (one,) = (part for part in schema[union] if part != {"type": "null"})
            schema = {**schema, **normal(one, definitions), "null": True}
    plain = {name: schema[name] for name in CHECKED & set(schema)}
    kinds = plain.pop("type", [])
    values = plain.pop("enum", None)
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    null = schema.get("null") or "null" in kinds or None in (values or [])
    plain["null"] = bool(null)
    if values:
        plain["enum"] = sorted(value for value in values if value is not None)
    else:
        plain["type"] = sorted(kinds - {"null"})
    if plain.get("default", 0) is None:
        del plain["default"]
    if "items" in plain:
        plain["items"] = normal(plain["items"], definitions)
    if isinstance(plain.get("additionalProperties"), dict):
        plain["additionalProperties"] = normal(plain["additionalProperties"], definitions)
    if "properties" in plain:
        plain["properties"] = {name: normal(part, definitions) for name, part in plain["properties"].items()}
    return plain


@pytest.mark.parametrize("model", [models.Gen, models.Direction, models.Merge, models.Again, models.Upload])
def test_the_models_are_the_described_bodies(model):
    """Every field, limit, pattern and default of a model stands in openapi.yaml, and nothing else does."""
    schemas = contract()["components"]["schemas"]
    made = model.model_json_schema()
    assert normal(made, made.get("$defs", {})) == normal(schemas[model.__name__], schemas)


async def test_the_routes_are_the_described_calls(start_api, api):
    """Every route but the page's is described and every described call has a route."""
    described = {
        (method.upper(), path)
        for path, item in contract()["paths"].items()
        for method in item
        if method in {"get", "post", "delete", "put", "patch"}
    }
    routes = {(route.method, route.resource.canonical) for route in start_api.runner.app.router.routes()}
    page = {"/", "/config.json", *(f"/{file.relative_to(STATIC).as_posix()}" for file in STATIC.rglob("*"))}
    assert {route for route in routes if route[0] != "HEAD" and route[1] not in page} == described


def test_the_problem_codes_are_the_described_ones():
    """Every code has its meaning, is raised somewhere, and its status is an answer of some call."""
    description = contract()
    code = description["components"]["schemas"]["Code"]
    assert [*code["x-problems"]] == code["enum"] == sorted(code["enum"])
    said = "".join(file.read_text() for file in Path(models.__file__).parent.glob("*.py"))
    assert [name for name in code["enum"] if f'"{name}"' not in said] == []
    described = {
        int(status)
        for item in description["paths"].values()
        for call in item.values()
        if isinstance(call, dict)
        for status in call["responses"]
    }
    assert {about["status"] for about in code["x-problems"].values()} - described == {
        405,
        417,
    }  # about the address and the connection, not about a call


async def test_the_upload_types_are_the_buckets(db):
    """The bucket takes what an upload may be called when it is signed, and the contract's size."""
    row = await db.fetchrow("select * from storage.buckets where id = 'uploads'")
    assert row["allowed_mime_types"] == ["video/*", uploads.OTHER]
    assert row["file_size_limit"] == models.MAX_UPLOAD_BYTES


def test_every_answer_is_described_with_its_request_id():
    """Each response of each call, the empty ones too, names X-Request-Id; what holds everywhere stands at the top."""
    described = contract()
    for calls in described["paths"].values():
        for call in {"get", "post", "delete"} & set(calls):
            for response in calls[call]["responses"].values():
                shared = response.get("$ref", "").rpartition("/")[2]
                assert "X-Request-Id" in described["components"]["responses"].get(shared, response)["headers"]
    for word in ("405", "`Allow`", "417"):
        assert word in described["info"]["description"]
    (key,) = (part for part in described["components"]["parameters"].values() if part["name"] == "Idempotency-Key")
    assert (key["schema"]["minLength"], "visitor's has at least 16" in key["description"]) == (1, True)


def test_the_examples_are_what_they_illustrate():
    """Every example of a body or an answer is valid."""
    components = contract()["components"]
    contents = [
        content
        for part in (*components["responses"].values(), *calls())
        for content in part.get("content", {}).values()
        if "$ref" in content["schema"]
    ]
    examples = [
        (content["schema"], value)
        for content in contents
        for value in [
            *([content["example"]] if "example" in content else []),
            *(e["value"] for e in content.get("examples", {}).values()),
        ]
    ]
    assert len(examples) > 15
    for schema, value in examples:
        jsonschema_rs.Draft202012Validator({**schema, "components": components}).validate(value)


def calls():
    for item in contract()["paths"].values():
        for call in item.values():
            if isinstance(call, dict):
                yield call.get("requestBody", {})
                yield from call["responses"].values()
