"""Commands for one's own jobs, against a stack that runs already."""

import asyncio
import json
import re
from pathlib import Path
from uuid import UUID, uuid4
from zipfile import ZipFile

import aiohttp
import pytest

from tests.cli.conftest import FILM
from tests.cli.stack_process import call
from tests.unit.media import write_video

pytestmark = pytest.mark.slow


async def test_a_job_from_the_shell(stack):
    """A path is uploaded, a URL is passed on, a job is watched by its id, and the demo uses the stack that is there."""
    here = ("--data", stack.data)
    code, out, err = await call("submit", FILM, "--variants", "1", *here, cwd=stack.place)
    assert (code, err) == (0, f"... uploading {FILM}\n")
    job_id = UUID(out.strip())

    code, out, err = await call("watch", job_id, *here, cwd=stack.place)
    assert (code, err) == (0, "")
    assert "Completed: 1 of 1." in out

    code, out, err = await call("submit", "http://127.0.0.1:1/a.mp4", "--watch", cwd=stack.place, **stack.alone)
    assert code == 1
    assert "Failed: " in out

    nobody = uuid4()
    assert str(nobody) in await stack.refused("watch", nobody)

    code, out, err = await call("demo", FILM, *here, "--output", "made", cwd=stack.place)
    assert (code, err) == (0, ""), out
    assert "Using the local stack that runs" in out
    assert (stack.place / "made" / "merged.mp4").stat().st_size > 0
    answer = json.loads((stack.place / "made" / "job.json").read_text())

    again = ("demo", answer["video_url"], *here, "--output", "again")
    code, out, err = await call(*again, cwd=stack.place, NO_COLOR="1")
    assert (code, err) == (0, ""), out
    assert json.loads((stack.place / "again" / "job.json").read_text())["video_url"] == answer["video_url"]


async def test_a_track_is_packed(stack):
    """The zip has the track as it is stored, cues, markers, MIDI and stems, and a film with speech and hits has them in its cues;
    a hit behind the film's end is in nothing that is heard, and whoever watches is told."""
    options = ("--variants", 2, "--seed", 7, "--request", "lo-fi piano", "--engine", "sketch", "--hit", 99)
    job_id = (await stack.call("submit", FILM, *options)).strip()
    assert "leaves out the hit at 99 s" in await stack.call("watch", job_id)
    assert "name it with --track" in await stack.refused("again", job_id, "--start", 1, "--end", 2)
    file = (await stack.call("pack", job_id, "--track", 2, "--into", "for the editor")).strip()
    assert file == f"for the editor/music-{job_id[:8]}-2.zip"
    result = json.loads(await stack.sql("select queue.answer($1)", job_id))["results"][1]
    async with aiohttp.ClientSession() as http, http.get(result["audio_url"]) as track:
        stored = await track.read()
    with ZipFile(stack.place / file) as pack:
        assert pack.testzip() is None
        assert pack.read("track.flac") == stored
        names = set(pack.namelist())
        assert names > {"cues.json", "markers.otio", "markers.edl", "markers.xml", "music.mid", "stems/residual.flac"}
        cues = json.loads(pack.read("cues.json"))
    assert (cues["film"]["duration"], cues["film"]["cuts"]) == (4.0, [2.0])
    assert (cues["track"]["seed"], cues["track"]["prompt"]) == (result["seed"], result["prompt"])
    packs = await stack.sql("select id::text from public.jobs where kind = 'pack' order by created_at desc")
    assert await stack.call("download", packs, "--output", "again") == "again/pack.zip\n"
    assert "to come" not in await stack.call("watch", packs)
    assert "has no tracks, it is a pack" in await stack.refused("merge", packs)
    code, _, err = await call("pack", job_id, "--track", 3, cwd=stack.place, **stack.alone)
    assert (code, "variant 2 does not exist" in err) == (1, True)


async def test_everything_over_api_url_alone(stack):
    """A job with directions, seed, duration and format is made, saved, merged and played again, and no more is known than API_URL."""
    (stack.place / "plan.yaml").write_text("- slow piano\n- {prompt: fast drums, title: 2024-05-01, tempo_bpm: 140}\n")
    options = ("--seed", 7, "--duration", 1.5, "--format", "mp3", "--loudness", -18, "--plan", "plan.yaml")
    told = ("--callback-url", "https://example.com/told", "--event", "result.ready", "--event", "job.failed")
    options += (*told, "--metadata", "order=4711", "--metadata", "of=a=b")
    job_id = (await stack.call("submit", FILM, *options)).strip()
    assert "Completed: 2 of 2." in await stack.call("watch", job_id)

    folder = Path(f"music-{job_id[:8]}")
    assert await stack.call("download", job_id) == f"{folder}/track-1.mp3\n{folder}/track-2.mp3\n"
    assert (stack.place / folder / "track-2.mp3").stat().st_size > 10_000
    job = json.loads(await stack.sql("select queue.answer($1)", job_id))
    assert [(result["prompt"], result["title"], result["duration"]) for result in job["results"]] == [
        ("slow piano", "Direction 1", 1.5), ("fast drums", "2024-05-01", 1.5),
    ]  # fmt: skip

    assert job["metadata"] == {"order": "4711", "of": "a=b"}
    events = await stack.sql("select options -> 'events' from public.jobs where id = $1", job_id)
    assert json.loads(events) == ["result.ready", "job.failed"]
    assert await stack.sql("select options -> 'loudness_lufs' from public.jobs where id = $1", job_id) == "-18"

    mixed = ("--mode", "mix", "--duck", "--duck-db", -12, "--output", "f.mp4")
    url, file = (await stack.call("merge", job_id, "--track", 2, *mixed)).split()
    assert (stack.place / file).stat().st_size > 10_000
    merged = url.split("/")[-2]
    assert await stack.call("download", merged, "--output", "films") == "films/merged.mp4\n"
    audio = job["results"][0]["audio_url"]
    assert (await stack.call("merge", FILM, "--audio", audio)).startswith("http")
    write_video(stack.place / "silent.mp4", sound=False)
    code, out, err = await call("merge", "silent.mp4", "--audio", audio, *mixed, cwd=stack.place, **stack.alone)
    assert (code, out[:4]) == (0, "http")
    assert "The video has no sound that can be used, so the music plays alone." in " ".join(err.split())

    take = (await stack.call("again", job_id, "--track", 2, "--seed", 9)).strip()
    assert "Completed: 1 of 1." in await stack.call("watch", take)
    (result,) = json.loads(await stack.sql("select queue.answer($1)", take))["results"]
    assert result["prompt"] == "fast drums"

    waiting = await stack.waiting()
    assert await stack.call("cancel", take, waiting) == f"{take} completed\n{waiting} cancelled\n"

    files = "select count(*) from storage.objects where name like $1"
    assert await stack.sql(files, f"{take}/%") == "2"  # the MP3, and the FLAC by which it can be mended
    assert await stack.call("delete", take, waiting) == f"{take} completed\n{waiting} cancelled\n"
    assert str(take) in await stack.refused("watch", take)
    async with asyncio.timeout(60):
        while await stack.sql(files, f"{take}/%") != "0":
            await asyncio.sleep(0.1)


async def test_a_brief_is_read_edited_and_played(stack):
    """A brief is told to people or written as JSON, and what it says is played for the film that was uploaded for it."""
    out = await stack.call("brief", FILM, "--variants", 1, "--seed", 7, "--request", "calm piano")
    assert re.search(r"^film      4\.0 s\ncuts      2\.00\n", out)
    assert "\nseed      7\n1.        " in out
    briefed = await stack.sql("select id from public.jobs where kind = 'brief' order by created_at desc")
    assert await stack.call("watch", briefed) == "Completed.\n"
    brief = json.loads(await stack.call("brief", briefed, "--json"))
    (stack.place / "brief.json").write_text(json.dumps(brief | {"hits": [{"at": 2, "kind": "stop"}]}))
    job_id = (await stack.call("submit", "--brief", "brief.json")).strip()
    assert "Completed: 1 of 1." in await stack.call("watch", job_id)
    job = json.loads(await stack.sql("select queue.answer($1)", job_id))
    assert (job["video_url"], job["hits"]) == (brief["video_url"], [{"at": 2, "kind": "stop"}])
    (result,) = job["results"]
    assert (result["seed"], result["prompt"]) == (7, brief["directions"][0]["prompt"])
    assert f"Job {job_id} is no brief: `rhythmai brief VIDEO` makes one" in await stack.refused("brief", job_id)
    code, out, err = await call("brief", "http://127.0.0.1:1/a.mp4", cwd=stack.place, **stack.alone)
    assert (code, out) == (1, "")
    assert "\nrhythmai: The brief failed: " in err


async def test_moments_and_stretches_are_asked_for(stack):
    """What is typed in short is in the job; `none` is no moment at all, and a job without a word has none of its own."""
    film = "https://example.com/a.mp4"
    typed = ("--hit", "7.3:drop", "--hit", "3", "--segment", "12:brass, wide:0.8", "--loop")
    job_id = (await stack.call("submit", film, *typed)).strip()
    options = "select options from public.jobs where id = $1"
    kept = json.loads(await stack.sql(options, job_id))
    assert kept["hits"] == [{"at": 3, "kind": "accent"}, {"at": 7.3, "kind": "drop"}]
    assert (kept["segments"], kept["loop"]) == ([{"start": 12, "prompt": "brass, wide", "energy": 0.8}], True)
    job_id = (await stack.call("submit", film, "--hit", "none")).strip()
    assert json.loads(await stack.sql(options, job_id)) == {"hits": []}
    assert "loop" in await stack.refused("submit", film, "--loop", "--format", "mp3")


def padded(path: Path, size: int) -> None:
    """A film of 2 s that is so large: behind it comes a box that players skip."""
    write_video(path, sound=False)
    with path.open("r+b") as file:
        rest = size - file.seek(0, 2)
        file.write(rest.to_bytes(4, "big") + b"free")
        file.truncate(size)


async def test_a_large_film_goes_in_pieces(stack):
    """A film of more than 6 MB is uploaded resumably and makes music like any other; Ctrl-C takes an upload back, and says so."""
    unfinished = stack.data / "storage" / "unfinished"
    before = {*unfinished.glob("*")}
    padded(stack.place / "large.mp4", 13_000_000)
    job_id = (await stack.call("submit", "large.mp4", "--variants", 1)).strip()
    assert "Completed: 1 of 1." in await stack.call("watch", job_id)
    (said,) = {*unfinished.glob("*.json")} - before
    assert json.loads(said.read_text())["length"] == 13_000_000

    padded(stack.place / "huge.mp4", 500_000_000)
    terminal = await stack.terminal("submit", "huge.mp4")
    await terminal.shows(r"[1-9]\d*\.\d/476\.8 MB")
    assert await terminal.end() == 130
    await terminal.shows("The upload of huge.mp4 is cancelled, and what Storage had of it is deleted")
    assert {*unfinished.iterdir()} == before | {said}
    assert list((stack.place / "cache" / "rhythmai" / "uploads").iterdir()) == []


async def test_a_server_s_film_lies_in_storage(stack):
    """What lies in a bucket of INPUT_BUCKETS is made music for with a server's key, uploaded by nobody; who has no key is told what to do."""
    await stack.sql("insert into storage.buckets (id, name) values ('films', 'films') returning id")
    storage, key = f"{stack.variables['SUPABASE_URL']}/storage/v1/object/films", stack.variables["SUPABASE_KEY"]
    async with (
        aiohttp.ClientSession(headers={"apikey": key, "Authorization": f"Bearer {key}"}) as http,
        http.post(f"{storage}/2026/a.mp4", data=(stack.place / FILM).read_bytes()) as put,
    ):
        assert put.status == 200, await put.text()
    film = "storage://films/2026/a.mp4"
    code, key, _ = await call("keys", "add", "server", cwd=stack.place, DATABASE_URL=stack.variables["DATABASE_URL"])
    mine = {"cwd": stack.place, **stack.alone, "USER_TOKEN": key.strip()}
    code, out, err = await call("submit", film, "--variants", 1, "--watch", **mine)
    assert code == 0, out + err
    assert "Completed: 1 of 1." in out
    assert "upload the video (POST /api/v1/upload)" in await stack.refused("submit", film)
