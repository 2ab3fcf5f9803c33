"""Pieces of the function, run by Deno in scripts of a few lines: what cannot be seen from outside."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from tests.functions.conftest import FUNCTIONS


@pytest.fixture
def run(deno, tmp_path):
    """Runs a script beside the function's own files; returns what it said."""

    async def run(script: str) -> str:
        file = tmp_path / "script.ts"
        file.write_text(script.replace("FUNCTIONS", FUNCTIONS.as_uri()))
        async with asyncio.timeout(120):
            code, said = await deno(
                "run", "--no-prompt", "--allow-net", "--allow-env", "--v8-flags=--expose-gc", "--config", "api/deno.json", file
            )  # fmt: skip
        assert code == 0, said
        return said

    return run


async def test_a_body_that_is_awaited_costs_what_has_come_of_it(run):
    """Hundreds of clients that have sent one byte each hold no room for what they might send."""
    said = await run("""
        import { read } from "FUNCTIONS/_shared/body.ts";
        const before = Deno.memoryUsage().external;
        let pulled = 0;
        const { promise, resolve } = Promise.withResolvers<void>();
        for (let client = 0; client < 400; client++) {
          const body = new ReadableStream({
            pull(to) {
              to.enqueue(new Uint8Array([123]));
              if (++pulled === 800) resolve();
              if (pulled > 400) return new Promise(() => {});
            },
          }, { highWaterMark: 0 });
          read(new Request("http://a/", { method: "POST", body }), "Gen").catch(() => {});
        }
        await promise;
        (globalThis as unknown as { gc(): void }).gc();
        console.log(Deno.memoryUsage().external - before);
        Deno.exit();
    """)
    assert json.loads(said.splitlines()[-1]) < 400 * 16 * 1024


@pytest.mark.parametrize("leaves", ["", "first.body!.cancel()"])
async def test_a_reader_that_does_not_read_gives_up_its_place(run, database_url, leaves):
    """A stream that is stalled, or left while it is, ends, and another client may watch."""
    db = await asyncpg.connect(database_url)
    job = await db.fetchval("select queue.submit('generate', 'https://example.com/a.mp4')::text")
    await db.close()
    said = await run(f"""
        import {{ stream }} from "FUNCTIONS/api/events.ts";
        import {{ Queue }} from "FUNCTIONS/api/queue.ts";
        import {{ Watches }} from "FUNCTIONS/api/watch.ts";
        const queue = new Queue(new URL("{database_url}"));
        const watches = new Watches(queue, 1);
        const watch = (ms: number) => stream(new Request("http://a/"), watches, "{job}", null, ms);
        const first = await watch({"600_000" if leaves else "1"});
        {leaves};
        for (;;) {{
          const second = await watch(600_000).catch((problem) => problem.code);
          if (second instanceof Response) break;
          await queue.health();
        }}
        {"" if leaves else "console.log((await first.text().catch((error) => error)).name)"}
        console.log("free");
        Deno.exit();
    """)
    assert said.splitlines() == (["free"] if leaves else ["TimeoutError", "free"])


async def test_known_signing_keys_outlive_auth(run):
    """With Auth away, tokens of keys that were fetched before are checked as ever, also when the cache has aged; only an unknown key waits."""
    said = await run("""
        import { exportJWK, generateKeyPair, SignJWT } from "jose";
        import { byProjectKeys } from "FUNCTIONS/_shared/auth.ts";
        const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
        const keys = [{ ...await exportJWK(publicKey), kid: "k", alg: "ES256" }];
        const auth = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => Response.json({ keys }));
        const verify = byProjectKeys(`http://127.0.0.1:${auth.addr.port}`, undefined);
        const signed = (kid: string) =>
          new SignJWT({ sub: "s" }).setProtectedHeader({ alg: "ES256", kid }).setAudience("authenticated")
            .setExpirationTime("1h").sign(privateKey);
        const outcome = async (kid: string) => {
          const token = await signed(kid);
          return await verify(token).then(() => "good", (error) => error.code);
        };
        const said = [await outcome("k")];
        await auth.shutdown();
        const now = Date.now;
        Date.now = () => now() + 600_000; // the cache has aged
        said.push(await outcome("k"), await outcome("invented"), await outcome("k"));
        console.log(said.join(" "));
        Deno.exit();
    """)
    assert said.splitlines()[-1] == "good good auth_unavailable good"
