"""Pages of list-v2: complete, in the order asked for, whatever the order is."""

from __future__ import annotations

import pytest

NAMES = ("a/1", "a/2", "b", "c", "d/1", "e")


@pytest.fixture
async def names(storage, database):
    """Six objects, made and changed in orders of their own; two of them at one moment."""
    for name in NAMES:
        await storage("PUT", f"object/b/{name}", data=b"", headers={"Content-Type": "text/plain"})
    made = {"e": 1, "c": 2, "a/2": 3, "b": 3, "a/1": 4, "d/1": 5}
    for name, day in made.items():
        await database.execute(
            "update storage.objects set created_at = make_date(2026, 1, $2), updated_at = make_date(2026, 2, 20 - $2) where name = $1",
            name,
            day,
        )
    return made


async def pages(storage, **body):
    """The names of all pages of two, joined."""
    found, cursor = [], {}
    while True:
        answer = await storage("POST", "object/list-v2/b", json={"limit": 2, **body, **cursor})
        assert answer.status == 200, answer.body
        page = answer.json()
        found += [entry["name"] for entry in page["folders"] + page["objects"]]
        if not page["hasNext"]:
            return found
        cursor = {"cursor": page["nextCursor"]}


@pytest.mark.parametrize(
    ("column", "order", "expected"),
    [
        ("name", "asc", list(NAMES)),
        ("name", "desc", list(reversed(NAMES))),
        ("created_at", "asc", ["e", "c", "a/2", "b", "a/1", "d/1"]),
        ("created_at", "desc", ["d/1", "a/1", "b", "a/2", "c", "e"]),
        ("updated_at", "asc", ["d/1", "a/1", "a/2", "b", "c", "e"]),
    ],
)
async def test_pages_follow_the_order(storage, names, column, order, expected):
    """Every object comes once, in order, also where two share a moment at the edge of a page."""
    assert await pages(storage, sortBy={"column": column, "order": order}) == expected


async def test_folders_have_no_time(storage, names):
    """Ordered by time, folders come before all objects, or after them where the newest are first."""
    by_time = {"limit": 1, "with_delimiter": True, "sortBy": {"column": "created_at", "order": "asc"}}
    assert await pages(storage, **by_time) == ["a/", "d/", "e", "c", "b"]
    by_time["sortBy"]["order"] = "desc"
    assert await pages(storage, **by_time) == ["b", "c", "e", "d/", "a/"]


@pytest.mark.parametrize("cursor", ["x", "e30=", "WzEsMl0=", "bnVsbA==", "WyJzb29uIiwgImEiXQ=="])
async def test_a_cursor_is_one_of_ours(storage, cursor):
    """Anything else is refused: a page that starts anywhere would be a lie."""
    answer = await storage("POST", "object/list-v2/b", json={"cursor": cursor, "sortBy": {"column": "created_at"}})
    assert (answer.status, answer.json()["code"]) == (400, "InvalidRequest")
