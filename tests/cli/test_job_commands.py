"""`rhythmai submit`, `watch` and `demo` against a stack that runs already."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from rhythmai.local.postgres import free_port
from tests.cli.stack_process import Up, call
from tests.unit.media import write_video


@pytest.mark.slow
async def test_a_job_from_the_shell():
    """A path is uploaded, a URL is passed on, a job is watched by its id, and the demo uses the stack that is there."""
    with tempfile.TemporaryDirectory(prefix="rhythmai-jobs-") as folder:
        place = Path(folder)
        data = place / "data"
        video = write_video(place / "it's a film.mp4", (((220, 30, 20), 2.0), ((20, 40, 220), 2.0)))
        up = await Up.start(data, free_port(), free_port())
        try:
            code, out, err = await call("submit", video, "--variants", "1", "--data", data, cwd=place)
            assert code == 0, err
            job_id = UUID(out.strip())
            assert "uploading" in err

            code, out, err = await call("watch", job_id, "--data", data, cwd=place)
            assert (code, err) == (0, "")
            assert "Completed: 1 of 1." in out

            code, out, _ = await call("env", "--data", data, cwd=place)
            variables = dict(line.removeprefix("export ").split("=", 1) for line in out.splitlines())
            code, out, err = await call(
                "submit", "http://127.0.0.1:1/a.mp4", "--watch", cwd=place, API_URL=variables["API_URL"]
            )
            assert code == 1
            assert "Failed: " in out

            code, out, err = await call("watch", uuid4(), "--data", data, cwd=place)
            assert (code, err.count("\n")) == (1, 1)

            code, out, err = await call("demo", video, "--data", data, "--output", "made", cwd=place)
            assert (code, err) == (0, ""), out
            assert "Using the local stack that runs" in out
            assert (place / "made" / "merged.mp4").stat().st_size > 0
            answer = json.loads((place / "made" / "job.json").read_text())

            code, out, err = await call(
                "demo", answer["video_url"], "--data", data, "--output", "again", cwd=place, NO_COLOR="1"
            )
            assert (code, err) == (0, ""), out
            assert json.loads((place / "again" / "job.json").read_text())["video_url"] == answer["video_url"]
            assert up.process.returncode is None
        finally:
            await up.stop(signal.SIGTERM)
