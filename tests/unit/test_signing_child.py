"""The child that writes manifests reads what strangers have written: it never has the key, and gets one signature."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.unit.certificates import signatory
from tests.unit.manifests import FACTS, signer_of, tune
from worker.errors import Unavailable
from worker.pipeline.finish import signing
from worker.pipeline.finish.signing import C2paSigner
from worker.pipeline.look.child import Ended

EMPTY = Ended(code=0, output=b"", complaints="")


def taken_over(monkeypatch, acts):
    """Whoever has taken the child over does what it likes with its order: `acts(order)`, in a thread."""
    orders = []

    async def run(arguments, *more, **options):
        orders.append(json.loads(arguments[1]))
        return await asyncio.to_thread(acts, orders[-1]) or EMPTY

    monkeypatch.setattr(signing, "run_child", run)
    return orders


async def sign(signer, folder):
    file = folder / "file.wav"
    file.write_bytes(tune("wav"))
    async with asyncio.timeout(60):
        return await signer.sign(file, folder, content_type="audio/wav", title="Tune", facts=FACTS, parts={})


async def test_the_key_stays_here(tmp_path, monkeypatch):
    """What the child is told names no key and holds none."""
    orders = taken_over(monkeypatch, lambda order: None)
    await sign(signer_of(signatory(), tmp_path), tmp_path)
    assert "PRIVATE" not in json.dumps(orders)
    assert "key.pem" not in json.dumps(orders)


async def test_one_child_gets_one_signature(tmp_path, monkeypatch):
    """Nobody is there for a second question."""
    signed = []

    async def signs(data):
        signed.append(data)
        return b"signature"

    def acts(order):
        Path(order["question"]).write_bytes(b"one")
        answer = os.open(order["answer"], os.O_RDONLY)
        assert os.read(answer, 100) == b"signature"
        os.close(answer)
        with pytest.raises(OSError, match="No such device"):
            os.open(order["question"], os.O_WRONLY | os.O_NONBLOCK)

    taken_over(monkeypatch, acts)
    await sign(C2paSigner(chain="", algorithm="ES256", sign=signs), tmp_path)
    assert signed == [b"one"]


async def test_a_question_without_an_end_is_cut(tmp_path, monkeypatch):
    """Nobody fills the worker's memory."""

    def acts(order):
        with pytest.raises(BrokenPipeError):
            Path(order["question"]).write_bytes(bytes(2**22))

    taken_over(monkeypatch, acts)
    with pytest.raises(Unavailable, match="far too long"):
        await sign(signer_of(signatory(), tmp_path), tmp_path)
    assert list(tmp_path.glob("signed*")) == list(tmp_path.glob("pipes*")) == []


async def test_a_child_that_asks_nothing_ends_all_the_same(tmp_path, monkeypatch):
    """It says why, or breaks; in either case nobody waits for its question, and nothing is left."""
    signer = signer_of(signatory(), tmp_path)
    for ended, words in (
        (Ended(code=0, output=b"no room", complaints=""), "no room"),
        (Ended(code=1, output=b"", complaints="Oops"), "Oops"),
    ):
        taken_over(monkeypatch, lambda order, ended=ended: ended)
        with pytest.raises(Unavailable, match=words):
            await sign(signer, tmp_path)
    assert list(tmp_path.glob("signed*")) == list(tmp_path.glob("pipes*")) == []
