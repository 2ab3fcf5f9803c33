"""Lists of objects and buckets: complete, in the order asked for, with times as the real server writes them."""

from __future__ import annotations

import re

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


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TIMES = ("created_at", "updated_at", "last_accessed_at", "lastModified", "last_modified")


def times(value, name=""):
    """Every time in an answer, however deep."""
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in times(part, key)]
    if isinstance(value, list):
        return [found for part in value for found in times(part)]
    return [value] if name in TIMES and value is not None else []


@pytest.mark.parametrize(
    ("method", "path", "body", "many"),
    [
        ("GET", "bucket", None, 2),
        ("GET", "bucket/b", None, 2),
        ("POST", "object/list/b", {}, 4),
        ("POST", "object/list-v2/b", {}, 4),
        ("GET", "object/info/b/one", None, 2),
        ("GET", "object/info/public/b/one", None, 2),
        ("DELETE", "object/b", {"prefixes": ["one"]}, 4),
    ],
)
async def test_times_are_written_as_javascript_does(storage, database, method, path, body, many):
    """Milliseconds and a Z, in buckets, lists, objects and what is removed, whatever Postgres keeps below a millisecond."""
    await storage("PUT", "object/b/one", data=b"x", headers={"Content-Type": "text/plain"})
    moment = "'2021-02-17 05:43:32.770999+01'"
    await database.execute(f"update storage.objects set created_at = {moment} where name = 'one'")
    await database.execute(f"update storage.buckets set created_at = {moment}")
    answer = await storage(method, path, json=body)
    found = times(answer.json())
    assert len(found) >= many, answer.body
    assert all(TIME.fullmatch(time) for time in found), found
    assert "2021-02-17T04:43:32.770Z" in found


async def test_one_bucket_has_no_type_and_the_list_has(storage):
    """The fields are those that the real server selects."""
    one, many = (await storage("GET", "bucket/b")).json(), (await storage("GET", "bucket")).json()
    named = {"id", "name", "owner", "public", "created_at", "updated_at", "file_size_limit", "allowed_mime_types"}
    assert set(one) == named
    assert all(set(bucket) == named | {"type"} for bucket in many)


@pytest.fixture
async def buckets(storage, database):
    """Four buckets besides the one that is always there, the last made first."""

    async def clear():
        for bucket in (await storage("GET", "bucket")).json():
            if bucket["id"] != "b":
                await storage("POST", f"bucket/{bucket['id']}/empty")
                await storage("DELETE", f"bucket/{bucket['id']}")

    await clear()
    await database.execute(
        """
        insert into storage.buckets (id, name, created_at, updated_at)
        select name, name, now() - day * interval '1 day', now() + day * interval '1 day'
        from unnest(array['xa', 'ya', 'Xb', 'zz']) with ordinality as made (name, day)
        """
    )
    await database.execute("update storage.buckets set created_at = now(), updated_at = now() where id = 'b'")
    yield
    await clear()


PAGES = {
    "limit=1&sortColumn=name&sortOrder=desc&search=a": ["ya"],
    "limit=2&sortColumn=id": ["Xb", "b"],
    "offset=3&limit=2&sortColumn=name": ["ya", "zz"],
    "sortColumn=created_at": ["zz", "Xb", "ya", "xa", "b"],
    "sortColumn=created_at&sortOrder=desc&limit=2": ["b", "xa"],
    "sortColumn=updated_at&sortOrder=desc&limit=1": ["zz"],
    "search=X&sortColumn=name": ["Xb", "xa"],
    "search=nowhere": [],
    "search=&limit=5&sortColumn=name": ["Xb", "b", "xa", "ya", "zz"],
    "offset=9": [],
    "unknown=1&sortColumn=name&limit=1": ["Xb"],
}


async def test_a_list_of_buckets_takes_orders(storage, buckets):
    """A page of it, sorted, and only those whose name holds a word, in capitals or not."""
    for query, names in PAGES.items():
        answer = await storage("GET", f"bucket?{query}")
        assert [bucket["name"] for bucket in answer.json()] == names, query


async def test_orders_that_are_none_are_refused(storage):
    """What the real server's schema does not take is a 400 that names the field."""
    for query in (
        "limit=0", "limit=-1", "limit=x", "limit=1.5", "limit=", "offset=-1", "offset=x", "sortColumn=owner", "sortOrder=up",
        "sortOrder=ASC",
    ):  # fmt: skip
        answer = await storage("GET", f"bucket?{query}")
        assert (answer.status, answer.json()["code"]) == (400, "InvalidRequest"), query
        assert f"querystring/{query.partition('=')[0]}" in answer.json()["message"]
