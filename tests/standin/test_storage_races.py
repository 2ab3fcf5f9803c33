"""Storage while many write at once: a file for each row, and no file without one."""

from __future__ import annotations

import asyncio

TEXT = {"Content-Type": "text/plain"}


def files(gateway):
    return {path.name for path in gateway.storage_dir.rglob("*") if path.is_file()}


async def versions(database):
    return {row["version"] for row in await database.fetch("select version from storage.objects")}


async def test_upserts_of_one_path_leave_one_file(storage, gateway, database):
    """Of ten uploads of a fresh path at once one stays, and the files of the others go."""
    for n in range(10):
        answers = await asyncio.gather(
            *(storage("POST", f"object/b/{n}", data=b"x", headers={**TEXT, "x-upsert": "true"}) for _ in range(10))
        )
        assert {answer.status for answer in answers} == {200}
        assert len({answer.json()["Id"] for answer in answers}) == 1
    assert len(files(gateway)) == 10
    assert files(gateway) == await versions(database)


async def test_one_of_many_uploads_makes_the_object(storage, gateway, database):
    """Without upsert one upload wins, the others are duplicates and leave nothing."""
    answers = await asyncio.gather(*(storage("POST", "object/b/once", data=b"x", headers=TEXT) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 9
    assert files(gateway) == await versions(database)


async def test_uploads_meet_moves_and_removals(storage, gateway, database):
    """Whoever wins, uploads that meet copies, moves and removals of the same paths leave no file without its row."""
    upsert = {**TEXT, "x-upsert": "true"}
    ends = {"bucketId": "b", "sourceKey": "from", "destinationKey": "to"}
    for _ in range(10):
        await asyncio.gather(
            *(
                storage("POST", f"object/b/{name}", data=b"x", headers=upsert)
                for name in ("from", "to")
                for _ in range(3)
            ),
            storage("POST", "object/move", json=ends),
            storage("POST", "object/copy", json=ends, headers={"x-upsert": "true"}),
            storage("DELETE", "object/b", json={"prefixes": ["from", "to"]}),
        )
        assert files(gateway) == await versions(database)
