"""What a worker deletes when it tidies up."""

import pytest

from worker.errors import ServiceAway
from worker.tidying import AT_ONCE, Tidying

MANY = [("audios", f"{number}.flac") for number in range(AT_ONCE + 1)] + [("uploads", "a.mp4")]


class World:
    """A queue and a Storage that remember what they were told."""

    def __init__(self, away: bool = False) -> None:
        self.away, self.removed, self.settled = away, [], []

    async def tidy(self):
        return MANY

    async def deleted(self, bucket, paths):
        self.settled.append((bucket, len(paths)))

    async def remove(self, bucket, paths):
        if self.away:
            raise ServiceAway("Storage is away", code="storage_unavailable")
        self.removed.append((bucket, len(paths)))


async def test_what_nobody_needs_is_deleted_and_then_forgotten():
    """Objects go bucket by bucket, as many at once as Storage takes, and the queue is told what is gone."""
    world = World()
    await Tidying(queue=world, storage=world).once()
    assert world.removed == world.settled == [("audios", AT_ONCE), ("audios", 1), ("uploads", 1)]


async def test_what_storage_has_not_deleted_is_not_forgotten():
    """While Storage is away nothing is said to be deleted."""
    world = World(away=True)
    with pytest.raises(ServiceAway):
        await Tidying(queue=world, storage=world).once()
    assert world.settled == []
