"""The fixtures of a worker serve the whole house, too."""

from __future__ import annotations

import pytest

from rhythmai.sample import make_sample
from tests.outside.house import running_house
from tests.worker.conftest import db, gateway, queue

__all__ = ["db", "gateway", "queue"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    file = tmp_path_factory.mktemp("video") / "video.mp4"
    make_sample(file, seconds=1)
    return file.read_bytes()


@pytest.fixture
async def house(database_url, queue, gateway, tmp_path):
    async with running_house(database_url, queue, gateway, tmp_path) as house:
        yield house
