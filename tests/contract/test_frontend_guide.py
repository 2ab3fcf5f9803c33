"""docs/frontend.md, run as it stands: real supabase-js on Deno, the local gateway, an API, and a worker led by the hand."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiohttp import web
from deno import find_deno_bin

from tests.conftest import fixture
from tests.contract.conftest import PUBLISHABLE_KEY
from tests.contract.hand import Hand
from tests.contract.hosts import ROOT
from tests.contract.keys import make_token, spoken
from tests.contract.test_contract_parts import BRIEF

GUIDE = ROOT / "docs" / "frontend.md"
SHARED = ROOT / "supabase" / "functions" / "_shared"
# The local stack has no Auth: sign-in is answered by the test. Nothing of a session is kept on disk. tus-js-client has its build for
# Node here, which does not know a browser's File; a page that is cut off in the middle of an upload is one whose requests fail.
RUN = """
const [plain, auth] = [globalThis.fetch, Deno.env.get("AUTH_URL")];
globalThis.fetch = (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (url.pathname.endsWith("/gateway")) {
    return Promise.resolve(new Response("<html>Bad Gateway</html>", { status: 502, headers: { "Content-Type": "text/html" } }));
  }
  return url.pathname.startsWith("/auth/v1/") ? plain(auth + url.pathname + url.search, init) : plain(input, init);
};
const kept = new Map();
const localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
Object.defineProperty(globalThis, "localStorage", { value: localStorage });
const { Buffer } = await import("node:buffer");
const tus = await import("tus-js-client");
const asked = [];
let cut = false;
Object.assign(tus.defaultOptions, {
  fileReader: {
    openFile: async (file) => ({
      size: file.size,
      slice: async (start, end) => {
        const value = Buffer.from(await file.slice(start, end).arrayBuffer());
        return { value: Object.assign(value, { size: value.length }), done: end >= file.size };
      },
      close() {},
    }),
  },
  onBeforeRequest: (request) => {
    asked.push(request.getMethod());
    if (cut && asked.filter((method) => method === "PATCH").length === 2) throw new Error("tunnel");
  },
  onShouldRetry: () => false,
});
await import("./main.ts");
const { call, Refused } = await import("./client.ts");
const { upload } = await import("./upload.ts");
const large = new File([new Uint8Array(13e6)], "large.mp4", { type: "video/mp4" });
for (cut of [true, false]) {
  asked.length = 0;
  const said = await upload(large).then(() => "through", () => "broke off");
  console.log(said, asked.join(" "), kept.size);
}
const ours = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  if (!String(input).endsWith("/api/v1/upload")) return ours(input, init);
  const ticket = await (await ours(input, init)).json();
  ticket.resumable.endpoint = ticket.resumable.endpoint.replace("/sign", ""); // there Storage wants a key
  return Response.json(ticket);
};
asked.length = 0;
await upload(large);
console.log("in one piece after", asked.join(" "), kept.size);
globalThis.fetch = ours;
await call("GET", "/gateway").catch((error) => console.log("gateway", error instanceof Refused, error.problem.status, error.message));
Deno.exit(0);
"""


# Realtime loses how the job ends, an event stream is refused with a 503 and the next one dies in silence, and every other question is, too.
LOSSY = """
const [Plain, plain] = [globalThis.WebSocket, globalThis.fetch];
globalThis.WebSocket = class extends Plain {
  addEventListener(type, heard) {
    super.addEventListener(type, type === "message" ? (event) => lost(event.data) || heard.call(this, event) : heard);
  }
  set onmessage(heard) {
    super.onmessage = (event) => lost(event.data) || heard.call(this, event);
  }
};
const textOf = (data) => typeof data === "string" ? data : new TextDecoder().decode(data);
const lost = (data) => /"status": ?"completed"/.test(textOf(data)) && !console.log("lost");
let asked = 0;
const problem = JSON.stringify({ type: "about:blank", title: "Away", status: 503, detail: "Away", code: "database_unavailable" });
const away = () => new Response(problem, { status: 503, headers: { "Content-Type": "application/problem+json" } });
globalThis.fetch = (input, init) => /job/.test(input) && asked++ % 2 ? Promise.resolve(away()) : plain(input, init);
let streams = 0;
const server = Deno.serve({ port: 0, onListen: () => {} }, () => {
  if (!streams++) return away();
  return new Response(new ReadableStream({ start: (silent) => silent.enqueue(new TextEncoder().encode(": still here\\n\\n")) }),
    { headers: { "Content-Type": "text/event-stream" } });
});
const [{ watch }, { follow }, { call, Refused }] = await Promise.all([import("./watch.ts"), import("./events.ts"), import("./client.ts")]);
const [job] = Deno.args;
const followed = follow(`http://127.0.0.1:${server.addr.port}`, job, (track) => console.log("followed track", track.index));
const watched = watch(job, (track) => console.log("watched track", track.index), (state) => console.log("is", state.status));
console.log("watched", (await watched).status);
console.log("followed", (await followed).status, streams > 1);
const none = crypto.randomUUID();
for (const one of [watch(none, () => {}, () => {}), follow("http://127.0.0.1:9", none, () => {})]) {
  await one.catch((error) => console.log("refused", error instanceof Refused, error.problem.status));
}
Deno.exit(0);
"""


def snippets() -> dict[str, str]:
    """The guide's files by name."""
    blocks = re.findall(r"```(\w*)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert {kind for kind, _ in blocks} == {"ts"}  # nothing else that would have to be run
    return {text.partition("\n")[0].removeprefix("// "): text for _, text in blocks}


@pytest.fixture
def ann() -> UUID:
    """Who signs in."""
    return uuid4()


@fixture
async def auth(ann):
    """Supabase Auth as far as signing in with a password asks for it."""

    async def token(request: web.Request) -> web.Response:
        assert (await request.json())["email"] == "ann@example.com"
        user = {"id": str(ann), "aud": "authenticated", "role": "authenticated", "email": "ann@example.com",
                "app_metadata": {}, "user_metadata": {}, "created_at": "2026-01-01T00:00:00Z"}  # fmt: skip
        session = {"access_token": make_token(ann), "token_type": "bearer", "expires_in": 3600, "refresh_token": "r"}
        return web.json_response({**session, "expires_at": int(time.time()) + 3600, "user": user})

    app = web.Application()
    app.router.add_post("/auth/v1/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Story:
    """What the page says, line by line, and a worker that listens to it."""

    def __init__(self, running: asyncio.subprocess.Process, hand: Hand, db: asyncpg.Connection) -> None:
        self.lines: list[str] = []
        self._running = running
        self._hand = hand
        self._db = db

    async def says(self, pattern: str) -> str:
        """Read until the page says it; answers with the first group."""
        async for raw in self._running.stdout:
            self.lines.append(raw.decode().rstrip())
            if found := re.match(pattern, self.lines[-1]):
                return found[1]
        raise AssertionError("\n".join(self.lines))

    async def pending(self, kind: str) -> str:
        """The one job of this kind that waits, as soon as it is there."""
        while True:
            job = await self._db.fetchval(
                "select id::text from public.jobs where kind = $1 and status = 'pending'", kind
            )
            if job:
                return job

    async def work(self, job: str, **results: str) -> None:
        await self._hand.claim(job)
        await self._hand.stage("composing")
        await self._hand.plan("piano", "strings")
        for index in range(await self._db.fetchval("select total_count from public.jobs where id::text = $1", job)):
            await self._hand.result(index=index, **{name: url.format(index) for name, url in results.items()})
        await self._hand.finish()

    async def play(self) -> None:
        """In the order of the guide's last file."""
        track = "https://example.com/{}.flac"
        await self.work(await self.says(r"(\S+) pending"), audio_url=track)
        await self.work(await self.pending("merge"), video_url="https://example.com/merged.mp4")
        await self.work(await self.pending("generate"), audio_url=track)
        await self._hand.claim(await self.pending("brief"))
        await self._hand.brief(BRIEF)
        await self._hand.finish()
        await self.work(await self.pending("pack"), pack_url="https://example.com/a.zip")
        await self.work(await self.says(r"(\S+) pending"), audio_url=track)
        await self.says(r"(gateway)")
        await self._running.wait()


@pytest.fixture
def place(stack, tmp_path):
    """The guide's files in a folder, with the addresses of this stack."""
    project_url, api_url = stack
    place = tmp_path / "page"
    place.mkdir()
    for file, text in snippets().items():
        ours = text.replace("https://REF.supabase.co/functions/v1", api_url).replace(
            "https://REF.supabase.co", project_url
        )
        (place / file).write_text(ours.replace("sb_publishable_...", PUBLISHABLE_KEY))
    for made in ("contract.ts", "database.ts"):
        shutil.copy(SHARED / made, place)
    imports = {"@supabase/supabase-js": "npm:@supabase/supabase-js@2.119.1", "tus-js-client": "npm:tus-js-client@4.3.1"}
    compiler = {"lib": ["deno.window", "dom"], "strict": True}
    (place / "deno.json").write_text(json.dumps({"lock": False, "imports": imports, "compilerOptions": compiler}))
    return place


async def deno(place: Path, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        find_deno_bin(), *arguments, cwd=place, env=os.environ | {"NO_COLOR": "1"} | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
async def test_every_snippet_of_the_guide_runs(name, stack, ann, auth, hand, db, place):
    """A visitor uploads, submits, watches, merges, follows, looks first and packs; a user signs in, sees her rows change, cancels; all types fit."""
    project_url, _ = stack
    (place / "run.js").write_text(RUN)
    if name == "function":  # types are of no host
        checked, _ = await (check := await deno(place, "check", "main.ts")).communicate()
        assert check.returncode == 0, checked.decode()
    running = await deno(place, "run", "--allow-all", "run.js", AUTH_URL=auth)
    story = Story(running, hand, db)
    async with asyncio.timeout(120):
        await story.play()
    said = "\n".join(story.lines)
    assert running.returncode == 0, said
    assert spoken(said) == set()
    told = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "JOB", said).splitlines()
    for line in (
        "JOB pending 0 of 2", "JOB processing 0 of 2", "done completed 2", "JOB track 1", "merged https://example.com/merged.mp4",
        "JOB is processing of me", "JOB is completed of me", "JOB has https://example.com/0.flac", "cancelled cancelled", "deleted not_found", "plays https://example.com/0.flac",
        "planned piano, strings", "read plan 2", "read result 0", "read job completed", "clicked twice true", "uploaded 7000000",
        "broke off POST PATCH PATCH 1", "through HEAD PATCH PATCH 0", "in one piece after POST 0", "gateway true 502 The server answered 502; try again",
        "found 1 moment First snow by 7", "mend cannot_mend", "packed https://example.com/a.zip",
        "invalid_request video_url: must be an http or https address with a host and without a user name, or for a server's key storage://bucket/path",
    ):  # fmt: skip
        assert line in told, said
    assert any(line.startswith("Error: size: ") for line in told), said  # an empty file, in either host's words
    assert await db.fetchval("select count(*) from public.jobs where owner = $1", ann) == 2
    merged = await db.fetchval("select video_url from public.jobs where kind = 'merge' order by seq desc limit 1")
    assert merged.startswith(f"{project_url}/storage/v1/object/public/uploads/")
    assert merged.endswith(".mkv")


@pytest.mark.slow
async def test_a_lost_end_and_a_503_keep_nobody_waiting(stack, hand, db, place):
    """The end is found by asking, what may pass is asked again, and a job that is not there ends the waiting."""
    job = str(
        await db.fetchval("insert into public.jobs (video_url) values ('https://example.com/v.mp4') returning id")
    )
    for file in ("watch.ts", "events.ts"):
        text = (place / file).read_text()
        assert "15_000" in text
        (place / file).write_text(text.replace("15_000", "1_500"))
    (place / "run.js").write_text(LOSSY)
    running = await deno(place, "run", "--allow-all", "run.js", job)
    story = Story(running, hand, db)
    async with asyncio.timeout(120):
        await story.says("is (pending)")
        await story.work(job, audio_url="https://example.com/{}.flac")
        await running.wait()
        story.lines += (await running.stdout.read()).decode().splitlines()
    said = story.lines
    assert running.returncode == 0, said
    for line in ("lost", "watched completed", "followed completed true", "watched track 2", "followed track 2"):
        assert line in said, said
    assert said.count("refused true 404") == 2, said
    assert [said.count(f"{how} track 0") for how in ("watched", "followed")] == [1, 1]
