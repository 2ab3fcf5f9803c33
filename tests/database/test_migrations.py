import asyncpg


async def test_a_plain_insert_is_all_a_backfill_needs(database_url):
    """`insert into public.jobs (video_url)` makes a pending batch job with every default."""
    db = await asyncpg.connect(database_url)
    row = await db.fetchrow("insert into public.jobs (video_url) values ('https://example.com/a.mp4') returning *")
    assert (row["status"], row["lane"], row["tenant"], row["total_count"], row["kind"]) == (
        "pending", "batch", "sql", 3, "generate",
    )  # fmt: skip
    await db.close()
