"""No key ever leaves a host: not in its output, not in an answer, whatever goes wrong."""

from __future__ import annotations

from uuid import uuid4

from tests.contract.conftest import VIDEO
from tests.contract.keys import bearer, make_token, spoken

SIGNATURE = "?token=the-signature-of-a-private-address"
WISH = "a wish that is nobody's business"
GEN = {"video_url": VIDEO + SIGNATURE, "user_request": WISH}
MERGE = {"video_url": VIDEO, "audio_url": VIDEO + SIGNATURE}
UPLOAD = {"filename": "a.mp4", "content_type": "video/mp4", "size": 1}
CALLS = [
    ("post", "/api/v1/gen", {"json": GEN}),
    ("post", "/api/v1/merge", {"json": MERGE}),
    ("post", "/api/v1/upload", {"json": UPLOAD}),
    ("post", "/api/v1/gen", {"json": {"video_url": VIDEO, "user_request": [WISH], SIGNATURE: 1}}),
    ("post", "/api/v1/gen", {"data": b'{"video_url": "' + SIGNATURE.encode()}),
    ("get", f"/nothing/{make_token()}", {}),
    ("get", "/healthz", {}),
]
OF_A_JOB = [("post", "/again"), ("get", ""), ("delete", ""), ("get", "/events"), ("put", "")]


async def test_a_full_run_tells_no_secret(start, settings, project, db):
    """All calls, by users and visitors, with good, bad and broken neighbours: nobody's key, token, wish, address or job id is said."""
    callers = [
        bearer(uuid4()),
        bearer(exp=1),
        bearer(secret="x" * 40),
        {"Authorization": "Bearer sb_publishable_x"},
        {},
    ]
    stranger = settings["SUPABASE_DB_URL"].replace("postgres:", "stranger:")
    project.away = True
    hosts = [start(MERGE_WAIT_S="0", **odd) for odd in (
        {}, {"SUPABASE_DB_URL": stranger}, {"SUPABASE_URL": project.url, "JWT_SECRET": ""},
    )]  # fmt: skip
    answers: list[str] = []
    jobs = [str(uuid4())]
    for host in hosts:
        async with host.session() as api:
            for headers in callers:
                for method, path, options in CALLS:
                    async with api.request(method, path, headers=headers, **options) as answer:
                        answers.append(f"{answer.headers} {await answer.text()}")
                        if answer.ok and path == "/api/v1/gen":
                            jobs.append((await answer.json())["job_id"])
                for method, tail in OF_A_JOB:
                    async with api.request(method, f"/api/v1/job/{jobs[-1]}{tail}", headers=headers) as answer:
                        answers.append(f"{answer.headers} {await answer.text()}")
        host.stop()
    output = "\n".join(host.output for host in hosts)
    assert output.count("request_id") >= len(answers)  # they did speak
    assert [word for word in (SIGNATURE, WISH, VIDEO, *jobs) if word in output] == []
    assert spoken(output) == set()
    assert spoken("\n".join(answers)) == set()
