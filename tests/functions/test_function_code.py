"""The function's code: checked, linted, formatted, and one with the Python host where both must say the same."""

from __future__ import annotations

import json
import re

import pytest

from edge_api.contract import contract
from tests.functions.conftest import FUNCTIONS
from tests.functions.made import SHARED, write_contract, write_database

CONFIG = ("--config", "api/deno.json")


@pytest.mark.parametrize(
    "command",
    [
        ("check", *CONFIG, "api/index.ts", "_shared/database.ts"),
        ("lint", *CONFIG, "api", "_shared", "generate.ts"),
        ("fmt", "--check", *CONFIG, "api", "_shared", "generate.ts"),
    ],
    ids=["check", "lint", "fmt"],
)
async def test_deno_finds_nothing(deno, command):
    """Types fit, the linter is content, the form is the formatter's."""
    code, said = await deno(*command)
    assert code == 0, said


def test_the_contract_s_types_are_up_to_date(tmp_path):
    """contract.ts and openapi.ts are what openapi.yaml gives today: else run `python -m tests.functions`."""
    write_contract(tmp_path)
    for name in ("contract.ts", "openapi.ts"):
        assert (SHARED / name).read_text() == (tmp_path / name).read_text(), name


async def test_the_contract_s_types_are_printed_by_one_typescript(deno):
    """The compiler that prints them is pinned: a newer one on npm changes nothing."""
    (pinned,) = re.findall(r'"npm:typescript@(\d+\.\d+\.\d+)"', (FUNCTIONS / "generate.ts").read_text())
    _, said = await deno("info", "--json", "--no-lock", "generate.ts")
    packages = json.loads(said[said.index("{") :])["npmPackages"].values()
    assert {package["version"] for package in packages if package["name"] == "typescript"} == {pinned}


@pytest.mark.slow
def test_the_database_s_types_are_up_to_date(tmp_path, database_url):
    """database.ts is what `supabase gen types` makes of the migrations: else run `python -m tests.functions`."""
    write_database(tmp_path, tmp_path, database_url)
    assert (SHARED / "database.ts").read_text() == (tmp_path / "database.ts").read_text()


def test_every_word_of_the_request_schemas_is_understood():
    """The contract's bodies use no keyword of JSON Schema that speaks of other places, but those that schema.ts follows."""
    text = (SHARED / "schema.ts").read_text()
    follows = re.findall(r'"(\$?\w+)"', text[text.index("FOLLOWS = ") : text.index("]);", text.index("FOLLOWS = "))])
    of_a_value = {"type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems",
                  "maxProperties", "propertyNames"}  # fmt: skip
    known = {*follows, *of_a_value, "required", "description", "default", "examples"}
    schemas = contract()["components"]["schemas"]

    def words(schema: dict) -> set[str]:
        parts = [*schema.get("properties", {}).values(), *schema.get("oneOf", [])]
        if isinstance(schema.get("additionalProperties"), dict):
            parts.append(schema["additionalProperties"])
        if "items" in schema:
            parts.append(schema["items"])
        if "$ref" in schema:
            parts.append(schemas[schema["$ref"].rpartition("/")[2]])
        return set(schema).union(*map(words, parts))

    for name in ("Gen", "Merge", "Again", "Upload"):
        assert words(schemas[name]) <= known
        assert schemas[name]["additionalProperties"] is False


def test_nothing_here_is_python():
    """No module hides PyPI's package of the name supabase."""
    assert [path for path in FUNCTIONS.parent.rglob("*.py") if path] == []
