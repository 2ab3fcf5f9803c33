"""On Supabase's platform: addresses with and without the gateway's part, its header for clients, its clock, its environment."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import tempfile
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from deno import find_deno_bin

from tests.contract.conftest import VIDEO, ask
from tests.contract.hosts import FUNCTION, KEPT, ROOT
from tests.contract.keys import SERVICE_KEY, bearer
from tests.hosted.pooler import Pooler
from tests.hosted.tls import make_certificates

BODY = {"video_url": VIDEO}


@pytest.fixture
def hosted(tmp_path, start):
    """The function where the global of Supabase's runtime exists; `GET /strike` is the platform's wall clock."""
    main = tmp_path / "main.ts"
    (tmp_path / "deno.json").write_text(FUNCTION.with_name("deno.json").read_text())
    main.write_text(f"""
        Object.assign(globalThis, {{ EdgeRuntime: {{}} }});
        const serve = Deno.serve;
        Deno.serve = ((answer: (request: Request, info: unknown) => Promise<Response>) =>
          serve((request, info) => {{
            if (!request.url.endsWith("/strike")) return answer(request, info);
            dispatchEvent(new Event("beforeunload"));
            return new Response();
          }})) as typeof Deno.serve;
        await import("{FUNCTION.as_uri()}");
    """)
    return lambda **settings: start(main, **settings)


@pytest.mark.parametrize("before", ["", "/functions/v1"])
async def test_the_gateway_s_part_of_an_address_may_be_there_or_not(hosted, before):
    """Calls work as /functions/v1/api/v1/... and as /api/v1/..., health and description under /api too."""
    async with hosted().session() as api:
        status, made = await ask(api, "post", f"{before}/api/v1/gen", json=BODY)
        assert status == 200
        assert (await ask(api, "get", f"{before}/api/v1/job/{made['job_id']}"))[0] == 200
        assert (await ask(api, "get", f"{before}/api/healthz"))[0] == 200
        status, described = await ask(api, "get", f"{before}/api/openapi.json")
        assert (status, described["servers"]) == (200, [{"url": "/functions/v1"}])
        for path in ("/functions/v1", "/functions/v1/", "/functions/v2/api/v1/ping", "/api", "/api/v1/api/healthz"):
            assert (await ask(api, "get", path))[0] == 404


async def test_every_described_address_is_true(hosted):
    """Each call of the description answers where the description says."""
    async with hosted().session() as api:
        _, described = await ask(api, "get", "/functions/v1/api/openapi.json")
        for path, calls in described["paths"].items():
            (server,) = calls.get("servers", described["servers"])
            address = server["url"] + path.replace("{job_id}", str(uuid4())).replace("{code}", "internal")
            for method in {"get", "post", "delete"} & set(calls):
                async with api.request(method, address) as response:
                    answer = await response.text()
                assert "nothing at this address; the API" not in answer, address
                assert response.status != 405


async def test_addresses_in_answers_are_those_that_clients_see(hosted):
    """The Location of a merge and the type of a problem lead through the gateway of the project, whatever a Host claims."""
    body = {"video_url": VIDEO, "audio_url": VIDEO}
    async with (
        hosted().session() as api,
        api.post("/api/v1/merge", json=body, headers={"Prefer": "respond-async"}) as answer,
    ):
        job = (await answer.json())["job_id"]
        assert answer.headers["Location"] == f"https://ref.supabase.co/functions/v1/api/v1/job/{job}"
        _, problem = await ask(api, "get", "/functions/v1/api/v1/job/x", headers={"Host": "evil.example"})
        assert problem["type"] == "https://ref.supabase.co/functions/v1/api/v1/problems/not_found"
        async with api.get("/functions/v1/api/v1/problems/not_found") as page:
            assert page.status == 200


async def test_the_client_is_whom_the_gateway_names(hosted, database_url):
    """Clients are told apart by the header of the platform's edge, and by no other."""
    db = await asyncpg.connect(database_url)
    await db.execute("update private.settings set pending_per_client = 1")
    async with hosted().session() as api:
        for client, spoof, status in (
            ("192.0.2.1", "1.1.1.1", 200),
            ("192.0.2.1", "2.2.2.2", 429),
            ("192.0.2.2", "1.1.1.1", 200),
        ):
            headers = {"CF-Connecting-IP": client, "X-Forwarded-For": spoof}
            assert (await ask(api, "post", "/api/v1/gen", json=BODY, headers=headers))[0] == status
    await db.execute("update private.settings set pending_per_client = 10000")
    await db.close()


async def test_away_from_the_platform_nobody_picks_a_client(hosted, database_url):
    """On a project of one's own, where no Cloudflare stands in front, its header is any client's to write and counts nothing."""
    db = await asyncpg.connect(database_url)
    tenants = "select count(distinct tenant) from public.jobs where user_request = 'self-hosted'"
    async with hosted(SUPABASE_URL="http://kong:8000").session() as api:
        for client in ("192.0.2.1", "192.0.2.2"):
            headers = {"CF-Connecting-IP": client}
            wish = {**BODY, "user_request": "self-hosted"}
            assert (await ask(api, "post", "/api/v1/gen", json=wish, headers=headers))[0] == 200
    assert await db.fetchval(tenants) == 1
    await db.close()


async def test_when_the_clock_strikes_whoever_waits_gets_an_answer(hosted, database_url):
    """Before the platform ends the function, a waiting merge is answered 202 and a stream ends."""
    db = await asyncpg.connect(database_url)
    waiting = "select count(*) from public.jobs where kind = 'merge' and status = 'pending'"
    before = await db.fetchval(waiting)
    async with asyncio.timeout(120), hosted(MERGE_WAIT_S="600").session() as api:
        _, made = await ask(api, "post", "/api/v1/gen", json=BODY)
        merging = asyncio.create_task(ask(api, "post", "/api/v1/merge", json={"video_url": VIDEO, "audio_url": VIDEO}))
        async with api.get(f"/api/v1/job/{made['job_id']}/events") as stream:
            assert b"event: job" in await stream.content.readuntil(b"\n\n") + await stream.content.readuntil(b"\n\n")
            while await db.fetchval(waiting) == before:
                await asyncio.sleep(0)
            async with api.get("/strike") as answer:
                assert answer.ok
            await stream.read()
        status, late = await merging
        assert (status, "job_id" in late) == (202, True)
    await db.close()


async def test_the_platform_s_own_environment_is_enough(start):
    """With what Supabase sets by itself (new keys as JSON, old ones beside) the function starts and tells visitors by their key."""
    host = start(
        FUNCTION, SUPABASE_KEY="", JWT_SECRET="", SUPABASE_SERVICE_ROLE_KEY="old", SUPABASE_ANON_KEY="eyOld",
        SUPABASE_SECRET_KEYS=f'{{"default": "{SERVICE_KEY}"}}', SUPABASE_PUBLISHABLE_KEYS='{"default": "pub-key"}',
    )  # fmt: skip
    async with host.session() as api:
        status, _ = await ask(api, "post", "/api/v1/gen", json=BODY, headers={"Authorization": "Bearer pub-key"})
        assert status == 200


async def test_it_works_through_a_transaction_pooler(start, postgres, database_url):
    """Behind pgbouncer, with what dashboards add to its address, calls of many clients at once are answered."""
    with Pooler(postgres.url()) as pooler:
        url = pooler.url(database_url, "pgbouncer=true&connection_limit=1")
        async with start(FUNCTION, SUPABASE_DB_URL=url).session() as api:
            answers = await asyncio.gather(
                *(ask(api, "post", "/api/v1/gen", json=BODY, headers=bearer()) for _ in range(50))
            )
    assert {status for status, _ in answers} == {200}


@pytest.fixture
def encrypted(postgres):
    """A door to Postgres that takes encrypted connections only."""
    with tempfile.TemporaryDirectory(prefix="rhythmai-tls-") as folder:
        made = make_certificates(Path(folder))
        Path(folder).chmod(0o755)  # the pooler runs as another user when we are root
        made.key.chmod(0o644)
        files = f"client_tls_cert_file = {made.certificate}\nclient_tls_key_file = {made.key}"
        with Pooler(postgres.url(), more=f"client_tls_sslmode = require\n{files}") as pooler:
            yield pooler


@pytest.mark.parametrize("query", ["", "sslmode=require"])
async def test_it_speaks_tls_where_the_database_wants_it(start, encrypted, database_url, query):
    """A database that takes encrypted connections only gets them, also when its address does not say so."""
    async with start(FUNCTION, SUPABASE_DB_URL=encrypted.url(database_url, query)).session() as api:
        assert (await ask(api, "get", "/healthz"))[0] == 200


async def test_a_certificate_that_nobody_vouches_for_is_a_database_that_is_away(start, encrypted, database_url):
    """With sslmode=verify-full a stranger's server is no answer and no bug."""
    async with start(FUNCTION, SUPABASE_DB_URL=encrypted.url(database_url, "sslmode=verify-full")).session() as api:
        assert (await ask(api, "get", "/healthz"))[0] == 503


async def test_the_command_for_a_laptop_listens_there_only(database_url):
    """What docs/contract.md says runs as it stands, and nobody else on the network is served."""
    text = (ROOT / "docs" / "contract.md").read_text()
    command = re.search(r"```\n(SUPABASE_URL=.*?)```", text, re.DOTALL)[1]
    given = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_KEY": SERVICE_KEY, "SUPABASE_DB_URL": database_url}
    for name, value in given.items():
        command = command.replace(f"{name}=...", f"{name}={shlex.quote(value)}")
    command = command.replace(":8000", ":0").replace("deno run", f"exec {find_deno_bin()} run")
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command, cwd=ROOT, env={name: os.environ[name] for name in KEPT if name in os.environ} | {"NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(120):
        while "istening on" not in (line := (await process.stdout.readline()).decode()):
            assert line, "it did not start"
        process.terminate()
        await process.communicate()
    assert "http://127.0.0.1:" in line


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"SUPABASE_DB_URL": ""}, "DATABASE_URL or SUPABASE_DB_URL is not set"),
        ({"SUPABASE_URL": ""}, "SUPABASE_URL is not set"),
        ({"SUPABASE_KEY": ""}, "SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is not set"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET must have at least 32 characters"),
        (
            {"SUPABASE_DB_URL": "postgres://u:s3/cret@h/d"},
            "SUPABASE_DB_URL is malformed: write postgresql://USER:PASSWORD",
        ),
        ({"SUPABASE_DB_URL": "postgres://u:p@a,b/d"}, "SUPABASE_DB_URL names several hosts"),
        ({"DATABASE_URL": "postgres://u:12#cret@h/d"}, "DATABASE_URL is malformed"),
        ({"MERGE_WAIT_S": "soon"}, "MERGE_WAIT_S must be a number of seconds"),
    ],
)
def test_a_wrong_environment_is_named(start, others, said):
    """The function does not start, and says which variable is to blame."""
    with pytest.raises(AssertionError, match=said):
        start(FUNCTION, **others)
