"""What commands for one's own jobs tell whoever sits before them, and what reaches a pipe."""

import asyncio
import signal
from uuid import UUID, uuid4

import pytest

from tests.cli.conftest import FILM
from tests.cli.stack_process import call

pytestmark = pytest.mark.slow


async def test_a_demo_in_a_terminal_stays_to_be_heard(stack):
    """At its end it says where to listen, and runs on until Ctrl-C, which is no failure."""
    terminal = await stack.terminal("demo", FILM, "--data", stack.data, "--output", "heard", columns=120)
    found = await terminal.shows(r"Listen: (\S+)/#job=(\S+)  \(Ctrl-C stops\)")
    assert found[1] == stack.variables["API_URL"]
    assert await stack.sql("select status from public.jobs where id::text = $1", found[2]) == "completed"
    assert terminal.process.returncode is None
    terminal.process.send_signal(signal.SIGINT)
    assert await terminal.process.wait() == 0


async def test_an_engine_is_asked_for(stack):
    """A job for an engine that no worker here has waits, and a watch says so; `again` keeps the engine or takes another."""
    waiting = (await stack.call("submit", FILM, "--variants", 1, "--engine", "acestep")).strip()
    terminal = await stack.terminal("watch", waiting)
    await terminal.shows("waiting until a worker has the engine acestep")
    await stack.call("cancel", waiting)
    assert await terminal.ended() == 1
    engine = "select engine from public.jobs where id = $1"
    kept = (await stack.call("again", waiting)).strip()
    assert await stack.sql(engine, kept) == "acestep"
    assert "Completed: 1 of 1." in await stack.call("again", waiting, "--engine", "sketch", "--watch")
    await stack.call("cancel", kept)


async def test_submit_says_what_next(stack):
    """A person is told the very commands that go on from a job; a program gets the id and nothing else."""
    terminal = await stack.terminal("submit", FILM, "--variants", 1)
    job_id = (await terminal.shows(r"\n([0-9a-f-]{36})\n"))[1]
    for command in ("watch", "download", "cancel"):
        await terminal.shows(f"  rhythmai {command} {job_id}\n")
    assert await terminal.ended() == 0
    terminal = await stack.terminal("watch", job_id)
    await terminal.shows(f"  rhythmai download {job_id}\n")
    assert await terminal.ended() == 0

    kept = await stack.terminal("submit", FILM, "--data", stack.data, stdout=asyncio.subprocess.PIPE)
    job_id = str(UUID((await kept.process.stdout.read()).decode().strip()))
    await kept.shows(f"  rhythmai cancel {job_id} --data {stack.data}\n")
    assert await kept.ended() == 0


async def test_an_interrupted_watch_says_that_the_job_goes_on(stack):
    """Ctrl-C ends the watching and not the job, and the way back is told."""
    job_id = await stack.waiting()
    terminal = await stack.terminal("watch", job_id)
    await terminal.shows("waiting for a worker")
    assert await terminal.end() == 130
    await terminal.shows("The job goes on without you")
    await terminal.shows(f"rhythmai watch {job_id}\n")
    assert await stack.sql("select status from public.jobs where id = $1", job_id) == "pending"


async def test_urls_and_paths_reach_a_pipe(stack):
    """What is printed for programs goes to stdout, also while stderr is a terminal that shows bars."""
    job_id = (await stack.call("submit", FILM, "--variants", 1)).strip()
    await stack.call("watch", job_id)
    for arguments, printed in ((("merge", job_id), "http"), (("download", job_id), "music-")):
        terminal = await stack.terminal(*arguments, stdout=asyncio.subprocess.PIPE)
        assert (await terminal.process.stdout.read()).decode().startswith(printed)
        assert await terminal.ended() == 0


async def test_what_is_ready_is_saved_already(stack):
    """The tracks of a job that still runs are saved as far as they are there, and how to see the others come is told."""
    done, waiting = (await stack.call("submit", FILM, "--variants", 1)).strip(), await stack.waiting()
    await stack.call("watch", done)
    copy = "insert into public.results (job_id, attempt, index, audio_url) select $1, 1, index, audio_url from public.results where job_id = $2"
    await stack.sql(copy, waiting, done)
    code, out, err = await call("download", waiting, "--output", "some", cwd=stack.place, **stack.alone)
    assert (code, out) == (0, "some/track-1.flac\n")
    assert f"  rhythmai watch {waiting}\n" in err


async def test_what_is_not_there_is_named(stack):
    """Tracks that are not there yet, or never, music without a name and a job of nobody are one line that says what to do."""
    waiting, nobody = await stack.waiting(), uuid4()
    said = await stack.refused("download", waiting)
    assert f"{waiting} has no tracks yet, it is pending: `rhythmai watch {waiting}`" in said
    await stack.call("cancel", waiting)
    assert "has no tracks, it is cancelled" in await stack.refused("merge", waiting)
    asked = ("submit", "https://example.com/a.mp4", "--event")
    assert "events.0: should be 'job.completed', 'job.failed'" in await stack.refused(*asked, "result")
    assert "name the music with --audio URL" in await stack.refused("merge", FILM)
    assert "song.flac is not a URL" in await stack.refused("merge", FILM, "--audio", "song.flac")
    for command in ("watch", "download", "merge", "again", "cancel"):
        assert f"{nobody}: There is no job" in await stack.refused(command, nobody)
