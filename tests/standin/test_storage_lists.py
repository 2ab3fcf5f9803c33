"""Pages of list-v2: complete, and in the order of names."""

from __future__ import annotations

import pytest

NAMES = ["a/1", "a/2", "b", "c", "d/1", "e"]


@pytest.fixture
async def names(storage):
    """Six objects, made in an order of their own."""
    for name in reversed(NAMES):
        await storage("PUT", f"object/b/{name}", data=b"", headers={"Content-Type": "text/plain"})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({}, NAMES), ({"with_delimiter": True, "limit": 1}, ["a/", "b", "c", "d/", "e"]), ({"prefix": "a/"}, NAMES[:2])],
)
async def test_pages_are_complete(storage, names, asked, expected):
    """Every object or folder comes once, in order, whatever fits on a page."""
    found, more = [], {}
    while True:
        answer = await storage("POST", "object/list-v2/b", json={"limit": 2, **asked, **more})
        assert answer.status == 200, answer.body
        page = answer.json()
        found += [entry["name"] for entry in sorted(page["folders"] + page["objects"], key=lambda entry: entry["name"])]
        if not page["hasNext"]:
            break
        more = {"cursor": page["nextCursor"]}
    assert found == expected


async def test_another_order_is_refused(storage):
    """Pages come by name only: another order would be a lie."""
    answer = await storage("POST", "object/list-v2/b", json={"sortBy": {"column": "created_at"}})
    assert (answer.status, answer.json()["code"]) == (400, "InvalidRequest")
