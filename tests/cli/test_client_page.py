"""docs/client.md: its Python is run as one program, and its commands as they stand, against a local stack."""

import asyncio
import os
import re
import sys

import pytest

from rhythmai.sample import make_sample
from tests.cli.stack_process import call
from tests.docs.blocks import DOCS, blocks
from tests.docs.shell import Shell


@pytest.mark.slow
async def test_the_examples_make_music(stack, tmp_path):
    """Uploaded, submitted, watched, made again, merged, cancelled and refused, as the page says."""
    page = blocks(DOCS / "client.md")
    program = "".join(block.text for block in page if (block.language, block.order) == ("python", "run"))
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "page.py").write_text(program)
    (folder / "plan.yaml").write_text(next(block.text for block in page if block.order == "file=plan.yaml"))
    make_sample(folder / "holiday.mp4", 2)
    (folder / "feature.mp4").write_bytes(bytes(13_000_000))
    unfinished = stack.data / "storage" / "unfinished"
    before = {*unfinished.glob("*.json")}
    code, key, err = await call("keys", "add", "page", cwd=folder, **stack.variables)
    assert code == 0, err
    environment = (
        os.environ | stack.variables | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "RHYTHMAI_KEY": key.strip()}
    )
    running_page = await asyncio.create_subprocess_exec(
        sys.executable, "page.py", cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )  # fmt: skip
    said = (await running_page.communicate())[0].decode()
    with Shell(folder, stack.variables) as shell:
        typed = [
            await asyncio.to_thread(shell.run, block)
            for block in page
            if (block.language, block.order) == ("sh", "run")
        ]
    assert running_page.returncode == 0, said
    assert "completed" in said
    assert "order 4711" in said
    assert "\nuploaded http" in said
    assert len({*unfinished.glob("*.json")} - before) == 1  # it went in pieces
    assert "\n1: " in said
    assert "cancelled" in said or "processing" in said
    assert "invalid_request" in said
    assert (folder / "with-music.mp4").stat().st_size > 10_000
    assert re.search(r"^music-\w+/track-3.mp3$", typed[0], re.MULTILINE)
    assert typed[0].count("Completed: ") == 3
