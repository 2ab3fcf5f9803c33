"""What one would write without us, for bench/fleet_answers.py: FastAPI, asyncpg, uvicorn on uvloop. GET /api/v1/job/{id} selects the job
and its results, and answers them as they are.

    pip install fastapi uvicorn uvloop httptools; python bench/fleet_peer.py
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException

POOL: list[asyncpg.Pool] = []
JOB = "select id, status, stage, error, total_count, video_url, user_request, created_at, started_at, finished_at from public.jobs where id = $1"
RESULTS = "select index, prompt, title, audio_url, seed, duration, created_at from public.results where job_id = $1 order by index"


@asynccontextmanager
async def open_pool(_: FastAPI) -> AsyncIterator[None]:
    POOL.append(await asyncpg.create_pool(os.environ["DATABASE_URL"]))
    yield
    await POOL[0].close()


app = FastAPI(lifespan=open_pool)


@app.get("/api/v1/job/{job_id}")
async def job(job_id: UUID) -> dict[str, Any]:
    async with POOL[0].acquire() as connection:
        row = await connection.fetchrow(JOB, job_id)
        results = await connection.fetch(RESULTS, job_id)
    if row is None:
        raise HTTPException(404)
    return {**row, "results": [dict(result) for result in results]}


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    os.dup2(2, 1)  # its access log goes where our log goes
    uvicorn.Server(uvicorn.Config(app, loop="uvloop", http="httptools")).run(sockets=[listening])
