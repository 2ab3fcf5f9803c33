"""How a job enters: checks, defaults, counts."""

import asyncpg
import pytest

BAD_OPTIONS = [
    ("generate", {"varants": 3}, "unknown field varants"),
    ("generate", {"audio_url": "https://a"}, "unknown field audio_url"),
    ("merge", {"audio_url": "https://a", "seed": 1}, "unknown field seed"),
    ("generate", {"variants": 0}, "whole number from 1 to 8, not 0"),
    ("generate", {"variants": 9}, "whole number from 1 to 8, not 9"),
    ("generate", {"variants": 1.5}, "whole number"),
    ("generate", {"variants": "3"}, "must be a whole number"),
    ("generate", {"seed": -1}, "from 0 to 4294967295"),
    ("generate", {"seed": 2**32}, "from 0 to 4294967295"),
    ("generate", {"duration": 0}, "from 0.64 to 86400"),
    ("generate", {"duration": 1e300}, "from 0.64 to 86400"),
    ("generate", {"steps": 101}, "from 1 to 100"),
    ("generate", {"guidance": 20.5}, "from 0 to 20"),
    ("generate", {"conditioning": "loud"}, "one of full, text.clip, text, not"),
    ("generate", {"loudness_lufs": 0}, "-30 to -9"),
    ("generate", {"format": "ogg"}, "one of flac, wav, mp3, m4a, not"),
    ("generate", {"negative_prompt": 3}, "must be a string"),
    ("generate", {"negative_prompt": "x" * 2001}, "0 to 2000"),
    ("generate", {"callback_url": "ftp://example"}, "an http or https address"),
    ("generate", {"events": []}, "must be some of job.completed"),
    ("generate", {"events": ["job.started"]}, "must be some of"),
    ("merge", {"audio_url": "https://a", "events": "job.failed"}, "must be some of"),
    ("generate", {"metadata": []}, "at most 16 strings"),
    ("generate", {"metadata": {str(n): "" for n in range(17)}}, "at most 16 strings"),
    ("generate", {"metadata": {"a b": "x"}}, "by names of letters"),
    ("generate", {"metadata": {"a": "x" * 201}}, "at most 200 characters"),
    ("generate", {"metadata": {"a": "\x1f"}}, "none of them a control character"),
    ("merge", {"audio_url": "https://a", "metadata": {"a": None}}, "at most 16 strings"),
    ("generate", {"plan": []}, "1 to 8 directions"),
    ("generate", {"plan": [{}] * 9}, "1 to 8 directions"),
    ("generate", {"plan": "x"}, "1 to 8 directions"),
    ("generate", {"plan": [{"prompt": "x" * 70000}]}, "65536 characters"),
    ("generate", {"plan": ["a calm piano"]}, r"plan\[0\] must be an object"),
    ("generate", {"plan": [{"prompt": "harp"}, None]}, r"plan\[1\] must be an object"),
    ("generate", {"plan": [{"title": "x"}]}, r"plan\[0\].prompt is missing"),
    ("generate", {"plan": [{"prompt": ""}]}, r"plan\[0\].prompt must be a string of 1 to 1000 characters"),
    ("generate", {"plan": [{"prompt": 3}]}, r"plan\[0\].prompt must be a string"),
    ("generate", {"plan": [{"prompt": "harp", "tempo": 3}]}, r"plan\[0\]: unknown field tempo"),
    ("generate", {"plan": [{"prompt": "harp", "tempo_bpm": "fast"}]}, r"plan\[0\].tempo_bpm must be a number"),
    ("generate", {"plan": [{"prompt": "harp", "tempo_bpm": 1e9}]}, r"plan\[0\].tempo_bpm must be a number"),
    ("generate", {"plan": [{"prompt": "harp", "instruments": 5}]}, r"plan\[0\].instruments must be a list"),
    ("generate", {"plan": [{"prompt": "harp", "instruments": [5]}]}, r"plan\[0\].instruments must be a list"),
    ("generate", {"plan": [{"prompt": "harp", "mood": ["calm"]}]}, r"plan\[0\].mood must be a string"),
    ("generate", {"hits": [{"at": 1}] * 33}, "list of 0 to 32 hits"),
    ("generate", {"hits": [3.5]}, r"hits\[0\] must be an object"),
    ("generate", {"hits": [{"kind": "drop"}]}, r"hits\[0\].at is missing"),
    ("generate", {"hits": [{"at": 1, "kind": "bang"}]}, r"hits\[0\].kind must be one of accent, drop, stop, downbeat"),
    ("generate", {"hits": [{"at": -1}]}, r"hits\[0\].at must be a number from 0 to 86400"),
    ("generate", {"segments": [{"start": 0}] * 17}, "list of 0 to 16 segments"),
    ("generate", {"segments": [{"prompt": "x"}]}, r"segments\[0\].start is missing"),
    ("generate", {"segments": [{"start": 0, "energy": 1.5}]}, r"segments\[0\].energy must be a number from 0 to 1"),
    ("generate", {"segments": [{"start": 0}, {"start": 9}, {"start": 9.0}]}, r"segments\[2\].start must be after that"),
    ("generate", {"segments": [{"start": 4}, {"start": 3, "prompt": "x"}]}, r"segments\[1\].start must be after that"),
    ("generate", {"loop": "yes"}, "loop must be true or false"),
    ("generate", {"loop": True, "format": "mp3"}, "loop: mp3 files have a gap at each end; a loop is flac or wav"),
    ("generate", {"mend": True}, "mend must be an object"),
    ("generate", {"mend": {"start": 1, "end": 2, "seed": 3, "gain_db": 0}}, "mend.master_url is missing"),
    (
        "generate",
        {"mend": {"start": 1, "end": 2, "seed": 3, "gain_db": 0, "master_url": "file:///a"}},
        "mend.master_url must be an http",
    ),
    ("pack", {"audio_url": "https://a"}, "packs is missing"),
    ("pack", {"packs": [], "audio_url": "https://a"}, "packs must be an object"),
    (
        "pack",
        {"packs": {}, "audio_url": "https://a", "callback_url": "https://a", "events": ["job.failed"]},
        "unknown field events",
    ),
    ("generate", {"packs": {}}, "unknown field packs"),
    ("brief", {"plan": [{"prompt": "harp"}]}, "unknown field plan"),
    ("brief", {"variants": 9}, "whole number from 1 to 8, not 9"),
    ("generate", [], "options must be an object"),
    ("merge", {}, "audio_url is missing"),
    ("merge", {"audio_url": None}, "audio_url is missing"),
    ("merge", {"audio_url": "file:///etc/passwd"}, "an http or https address"),
    ("merge", {"audio_url": "https://a", "duck": "yes"}, "true or false"),
    ("merge", {"audio_url": "https://a", "mode": "swap"}, "one of replace, mix"),
    ("merge", {"audio_url": "https://a", "music_gain_db": 21}, "from -60 to 20"),
    ("merge", {"audio_url": "https://a", "duck_db": 1}, "from -60 to 0"),
]


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


async def test_a_plain_insert_is_all_a_backfill_needs(queue):
    """`insert into public.jobs (video_url)` makes a pending batch job with every default."""
    row = await queue.job(await queue.insert())
    assert (row["status"], row["lane"], row["tenant"], row["total_count"], row["kind"], row["max_attempts"]) == (
        "pending", "batch", "sql", 3, "generate", 3,
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "sentence"), BAD_OPTIONS)
async def test_bad_options_are_refused_in_a_sentence(queue, kind, options, sentence):
    """Whatever the door, options that mean nothing are refused, and the message names the field."""
    with pytest.raises(asyncpg.InvalidParameterValueError, match=sentence):
        await queue.insert(kind=kind, options=options)


async def test_a_refusal_is_short_whatever_was_sent(queue):
    """An error message shows at most the beginning of what was wrong."""
    with pytest.raises(asyncpg.InvalidParameterValueError) as refusal:
        await queue.insert(options={"x" * 5000: 1})
    assert len(str(refusal.value)) < 400
    with pytest.raises(asyncpg.InvalidParameterValueError) as refusal:
        await queue.insert(options={"variants": 10**4000})
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (
            "generate",
            {
                "variants": 8,
                "seed": 2**32 - 1,
                "duration": 0.64,
                "conditioning": "text+clip",
                "format": "m4a",
                "loudness_lufs": -23,
            },
        ),
        ("generate", {"variants": None, "negative_prompt": "vocals", "steps": 25, "guidance": 4.5}),
        ("generate", {"plan": [{"prompt": "harp", "instruments": ["harp"], "tempo_bpm": 61.5, "mood": None}]}),
        ("generate", {"variants": 3.0, "callback_url": "HTTPS://hooks.example.com/x?y=z", "events": ["result.ready"]}),
        ("generate", {"hits": [], "segments": [], "loop": True, "format": "wav"}),
        ("generate", {"hits": [{"at": 7.3}, {"at": 86400, "kind": "drop"}], "loop": False, "format": "mp3"}),
        ("generate", {"segments": [{"start": 0}, {"start": 0.5, "prompt": "drums", "energy": 1}]}),
        ("generate", {"mend": {"start": 1, "end": 2, "seed": 3, "gain_db": -1.5, "master_url": "https://a/b.flac"}}),
        (
            "brief",
            {
                "variants": 2,
                "seed": 7,
                "duration": 30,
                "callback_url": "https://a",
                "events": ["job.completed"],
                "metadata": {"a": "b"},
            },
        ),
        ("merge", {"audio_url": "https://a", "metadata": {str(n) * 8: "☀" * 200 for n in range(10, 26)}}),
        ("merge", {"audio_url": "https://a", "mode": "mix", "music_gain_db": -6.5, "duck": True, "duck_db": -60}),
    ],
)
async def test_good_options_are_taken(queue, kind, options):
    """Every field of the contract is taken at the ends of its range; null means unset, so it is not kept."""
    row = await queue.job(await queue.insert(kind=kind, options=options))
    assert row["options"] == without_nulls(options)


@pytest.mark.parametrize(
    ("kind", "options", "count"),
    [
        ("generate", {}, 3),
        ("generate", {"variants": 5}, 5),
        ("generate", {"variants": 5, "plan": [{"prompt": "a"}, {"prompt": "b"}]}, 2),
        ("generate", {"variants": None}, 3),
        ("merge", {"audio_url": "https://a"}, 1),
        ("brief", {}, 0),
        ("brief", {"variants": 5}, 0),
        ("pack", {"packs": {}, "audio_url": "https://a"}, 1),
    ],
)
async def test_the_options_say_how_many_results_there_will_be(queue, kind, options, count):
    """total_count follows the plan, else the variants, else it is 3; a merge has one result, a brief none."""
    assert (await queue.job(await queue.insert(kind=kind, options=options)))["total_count"] == count


async def test_an_operator_may_set_the_count_by_its_column(queue):
    """A backfill that writes total_count without options keeps it."""
    assert (await queue.job(await queue.insert(total_count=1)))["total_count"] == 1


async def test_an_owner_is_the_tenant(queue):
    """The fairness key of an owned job is its owner, whatever the insert says."""
    owner = "6f0d8c2e-7d0e-4b5e-9f55-3d6c1b1e0a11"
    assert (await queue.job(await queue.insert(owner=owner, tenant="somebody else")))["tenant"] == owner


async def test_an_unknown_kind_is_refused_by_the_table(queue):
    """The trigger leaves it to the constraint to name a wrong kind."""
    with pytest.raises(asyncpg.CheckViolationError, match="jobs_kind"):
        await queue.insert(kind="remix")


async def test_ten_thousand_rows_enter_in_one_statement(db):
    """A backfill on a Friday: one insert of 10,000 rows, each with a turn of its own."""
    await db.execute(
        "insert into public.jobs (video_url) select 'https://example.com/' || i from generate_series(1, 10000) i"
    )
    assert await db.fetchval("select count(distinct turn) from public.jobs") == 10_000


async def test_a_result_carries_the_owner_of_its_job(db, queue):
    """RLS on results needs no join: the owner is copied."""
    owner = "6f0d8c2e-7d0e-4b5e-9f55-3d6c1b1e0a11"
    await queue.insert(owner=owner)
    worker = await queue.worker()
    await worker.put(await worker.claim())
    assert str(await db.fetchval("select owner from public.results")) == owner
