"""docs/hosted.md, read and done from the first line to the last, on a faked project."""

from __future__ import annotations

import dataclasses
import re

import pytest

from rhythmai.local.postgres import free_port
from rhythmai.sample import make_sample
from tests.docs.blocks import DOCS, blocks
from tests.docs.shell import Shell
from tests.hosted.fake import fake_project


@pytest.mark.slow
def test_a_reader_gets_music(empty_database, certificates, tmp_path):
    """Whoever does what the page says, in its order and with its own values in .env, gets tracks from two boxes."""
    port = free_port()
    folder = tmp_path / "reader"
    folder.mkdir()
    make_sample(folder / "holiday.mp4", 3)
    with fake_project(empty_database, certificates, tmp_path / "storage") as project:
        # What no reader has to say: the test's authority, the secret of tokens and a port that is free here.
        unsaid = {name: project[name] for name in ("SSL_CERT_FILE", "JWT_SECRET")} | {"API_PORT": str(port)}
        said = {}
        with Shell(folder, unsaid) as shell:
            for shown in blocks(DOCS / "hosted.md"):
                text = shown.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
                # A worker would look for it on the internet; this address it refuses at once.
                text = text.replace("https://example.com/cat.mp4", "http://127.0.0.1:9/cat.mp4")
                block = dataclasses.replace(shown, text=text)
                if block.order.startswith("file="):
                    own = re.sub(
                        r"^(\w+)=(.*)$",
                        lambda line: f"{line[1]}={project.get(line[1], line[2])}",
                        text,
                        flags=re.MULTILINE,
                    )
                    (folder / block.order.removeprefix("file=")).write_text(own)
                elif block.order == "start":
                    shell.start(block)
                elif block.order == "run":
                    said[block.line] = shell.run(block)
    everything = "".join(said.values())
    assert "Would apply" in everything
    assert "Completed: 3 of 3" in everything
    assert list(said.values())[-1].count(" ready ") == 2
