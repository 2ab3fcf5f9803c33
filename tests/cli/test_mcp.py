"""`rhythmai mcp`: the tools, called by the protocol's own client, against a stack that runs already."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from mcp import Client, StdioServerParameters

from tests.cli.conftest import FILM
from tests.cli.stack_process import clean_environment
from tests.docs.blocks import DOCS, blocks
from tests.docs.shell import Shell
from tests.warm.start import warm

pytestmark = pytest.mark.slow


@asynccontextmanager
async def assistant(stack, root: Path, **environment):
    """An assistant whose films are under a folder."""
    python, *arguments = warm("rhythmai")
    parameters = StdioServerParameters(
        command=python, args=[*arguments, "mcp", "--root", str(root)], cwd=stack.place,
        env=clean_environment(**stack.alone, **environment),
    )  # fmt: skip
    async with Client(parameters) as client:
        yield client


async def use(client, name: str, **arguments) -> dict:
    """What a tool answers."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


async def refused(client, name: str, **arguments) -> str:
    """What a tool says is wrong."""
    result = await client.call_tool(name, arguments)
    assert result.is_error, result.structured_content
    return result.content[0].text


@pytest.fixture
def root(stack, tmp_path):
    """A folder with a film, and a secret beside it."""
    (tmp_path / "root").mkdir()
    shutil.copy(stack.place / FILM, tmp_path / "root" / "film.mp4")
    shutil.copy(stack.place / FILM, tmp_path / "secret.mp4")
    return tmp_path / "root"


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


async def test_an_assistant_scores_a_film(stack, root):
    """A film of the folder is uploaded, its tracks are saved while progress is told, one is made again, and one is merged
    under it; what somebody else has packed is saved as well."""
    told = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with assistant(stack, root) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["score_video", "job", "again", "merge", "cancel"]
        assert str(root) in client.instructions

        wish = {"video": "film.mp4", "prompt": "calm piano", "tracks": 2, "seed": 7, "audio_format": "mp3"}
        made = (await client.call_tool("score_video", wish, progress_callback=hear)).structured_content
        assert (made["status"], made["progress"], made["error"]) == ("completed", 100, None)
        home = root / f"music-{made['job_id']}"
        assert [track["file"] for track in made["tracks"]] == [f"{home}/track-1.mp3", f"{home}/track-2.mp3"]
        assert all(Path(track["file"]).stat().st_size > 10_000 and track["title"] for track in made["tracks"])
        ours = {"name": "MIT", "commercial": True, "url": "https://opensource.org/license/mit"}
        assert [track["licence"] for track in made["tracks"]] == [ours, ours]
        steps = [progress for progress, _, _ in told]
        assert steps == sorted(set(steps))
        assert (steps[-1], {total for _, total, _ in told}) == (100, {100})

        take = await use(client, "again", job_id=made["job_id"], track=2, seed=9, engine="sketch")
        assert [Path(track["file"]).name for track in take["tracks"]] == ["track-1.mp3"]

        film = await use(client, "merge", job_id=made["job_id"], track=2, mode="mix", output="films/with music.mp4")
        assert film["film"] == str(root / "films" / "with music.mp4")
        assert (root / "films" / "with music.mp4").stat().st_size > 10_000
        assert film["film_licence"] == ours
        other = await use(client, "merge", job_id=made["job_id"], video=str(root / "film.mp4"))
        assert other["film"] == str(root / f"music-{other['job_id']}" / "merged.mp4")

        packing = await stack.sql("select queue.pack($1)", made["job_id"])
        await stack.call("watch", packing)
        packed = await use(client, "job", job_id=packing)
        assert packed["pack"] == str(root / f"music-{packing}" / "pack.zip")

        before = files(root)
        assert await use(client, "job", job_id=made["job_id"]) == made
    assert files(root) == before
    assert not [name for name in before if name.endswith(".part")]


async def test_whoever_does_not_wait_asks_later(stack, root):
    """Without waiting a job is answered at once, asked until it has ended, and saved then; one that is not wanted is cancelled."""
    async with assistant(stack, root) as client:
        hits = [{"at": 1.0, "kind": "drop"}, {"at": 1.5}]
        made = await use(client, "score_video", video="film.mp4", tracks=1, engine="sketch", hits=hits, wait=False)
        options = await stack.sql("select options -> 'hits' from public.jobs where id::text = $1", made["job_id"])
        assert json.loads(options) == [hits[0], {"at": 1.5, "kind": "accent"}]
        assert made["status"] in {"pending", "processing"}
        async with asyncio.timeout(120):
            while (job := await use(client, "job", job_id=made["job_id"]))["status"] != "completed":
                await asyncio.sleep(0.3)
        track = Path(job["tracks"][0]["file"])
        assert track.stat().st_size > 10_000
        track.unlink()
        at_once = await asyncio.gather(*(use(client, "job", job_id=made["job_id"]) for _ in range(4)))
        assert [one["tracks"] for one in at_once] == [job["tracks"]] * 4
        assert [one.name for one in track.parent.iterdir()] == ["track-1.flac"]
        merging = await use(client, "merge", job_id=made["job_id"], wait=False)
        assert merging["film"] is None
        waiting = await stack.waiting()
        assert (await use(client, "cancel", job_id=waiting))["status"] == "cancelled"


async def test_what_goes_wrong_is_told_with_what_to_do(stack, root):
    """Errors of the API, of a job and of the arguments are errors of the tool, in words."""
    nobody, waiting = str(uuid4()), await stack.waiting()
    async with assistant(stack, root) as client:
        assert "There is no job with this id" in await refused(client, "job", job_id=nobody)
        assert "x is not the id of a job" in await refused(client, "cancel", job_id="x")
        assert "has no track 3: it is pending and has none" in await refused(client, "merge", job_id=waiting, track=3)
        said = await refused(client, "score_video", video="http://127.0.0.1:1/a.mp4", tracks=1)
        assert "The job failed: " in said
        assert "(job " in said
        assert "give one that starts with http, or a path" in await refused(
            client, "score_video", video="file:///etc/passwd"
        )
        assert "less than or equal to 8" in await refused(client, "score_video", video="film.mp4", tracks=9)
    parameters = {**stack.alone, "API_URL": "http://127.0.0.1:1"}
    stack_away = type(stack)(stack.place, {"API_URL": parameters["API_URL"]})
    async with assistant(stack_away, root) as client:
        assert "The API at http://127.0.0.1:1/api/v1 does not answer" in await refused(client, "job", job_id=nobody)


async def test_nothing_outside_of_the_folder_is_read(stack, root):
    """Steps up, absolute paths, links, pipes, folders, odd names: what leads out or is no file is refused, what stays inside is taken."""
    outside = root.parent
    (root / "out.mp4").symlink_to("../secret.mp4")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "deep").mkdir()
    (root / "deep" / "in.mp4").symlink_to("../film.mp4")
    os.mkfifo(root / "pipe.mp4")
    leads_out = (
        "../secret.mp4", str(outside / "secret.mp4"), "out.mp4", "up/secret.mp4", "deep/../../secret.mp4", "..", ".", "", "/etc/passwd",
    )  # fmt: skip
    no_file = ("pipe.mp4", "deep", "/dev/stdin", "loop", "a\0b", "no.mp4", "~/secret.mp4", "x" * 5000, "film.mp4/x")
    async with assistant(stack, root) as client:
        for path in leads_out:
            said = await refused(client, "score_video", video=path, wait=False)
            assert f"leads out of {root}, and nothing else is read or written" in said
        for path in no_file:
            assert str(root) in await refused(client, "score_video", video=path, wait=False)
        for path in ("deep/in.mp4", str(root / "film.mp4"), "deep/../film.mp4"):
            await use(client, "score_video", video=path, tracks=1, wait=False)


async def test_nothing_outside_of_the_folder_is_written(stack, root):
    """A film is saved in the folder, at a name that was free, and nowhere else, whatever the name is."""
    outside = root.parent
    (root / "up").symlink_to("..")
    (root / "mine.mp4").write_text("an hour of work")
    (root / "out.mp4").symlink_to("../new.mp4")
    async with assistant(stack, root) as client:
        job = (await use(client, "score_video", video="film.mp4", tracks=1))["job_id"]
        before = files(outside)
        for name in ("../new.mp4", str(outside / "new.mp4"), "up/new.mp4", "out.mp4", "a/../../new.mp4"):
            assert "leads out of" in await refused(client, "merge", job_id=job, output=name)
        assert "is there already, and is not overwritten" in await refused(
            client, "merge", job_id=job, output="mine.mp4"
        )
        assert "is no file" in await refused(client, "merge", job_id=job, output=f"music-{job}")
        assert files(outside) == before

        (root / f"music-{job}" / "track-1.flac").unlink()
        (root / f"music-{job}").rmdir()
        (root / f"music-{job}").symlink_to(outside)
        assert "leads out of" in await refused(client, "job", job_id=job)
    assert not (outside / "track-1.flac").exists()


async def test_the_page_tells_how_a_host_starts_it(stack, root):
    """The configuration in docs/client.md starts a server that answers, but for its folder and its address."""
    (block,) = (block for block in blocks(DOCS / "client.md") if block.order == "host")
    server = json.loads(block.text)["mcpServers"]["rhythmai"]
    arguments = [str(root) if one.startswith("/") else one for one in server["args"]]
    assert server["env"].keys() == {"API_URL"}
    environment = Shell(root, stack.alone).environment
    async with Client(StdioServerParameters(command=server["command"], args=arguments, env=environment)) as client:
        waiting = await stack.waiting()
        assert (await use(client, "job", job_id=waiting))["status"] == "pending"


HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip


@asynccontextmanager
async def started(stack, root: Path):
    """The server as a host starts it, once it has answered to HELLO."""
    process = await asyncio.create_subprocess_exec(
        *warm("rhythmai"), "mcp", cwd=root, env=clean_environment(**stack.alone),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        process.stdin.write(json.dumps(HELLO).encode() + b"\n")
        assert json.loads(await process.stdout.readline())["result"]["serverInfo"]["name"] == "rhythmai"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_the_end(stack, root, number):
    """A host's SIGTERM, or Ctrl-C, ends the server although nobody closes its stdin."""
    async with started(stack, root) as process:
        process.send_signal(number)
        assert await process.wait() == 130
        assert await process.stderr.read() == b""


async def test_stdout_is_the_protocol(stack, root):
    """Every line on stdout is a message, whatever comes in, and the end of stdin is the end."""
    asked = {"name": "score_video", "arguments": {"video": "film.mp4", "tracks": 1}}
    calls = ({"method": "notifications/initialized"}, {"id": 2, "method": "tools/call", "params": asked})
    lines = ["no message", *(json.dumps({"jsonrpc": "2.0"} | one) for one in calls)]
    async with started(stack, root) as process:
        process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        answers = [{}]
        while answers[-1].get("id") != 2:
            answers.append(json.loads(await process.stdout.readline()))
        assert answers[-1]["result"]["structuredContent"]["status"] == "completed", answers
        process.stdin.close()
        assert await process.stdout.read() == b""
        assert await process.wait() == 0
