"""`python -m worker` as the harness needs it: its webhooks may go to this machine, and while the file HANG is there
its engine hangs at what stands in it: "prepare", "watch" or "compose"; while a file CLAIM is there each claim fails.

The heart of a hanging worker beats on, as that of a machine whose GPU hangs.
"""

import os
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from worker import assembly, loading
from worker.__main__ import main
from worker.engines.sketch.engine import SketchEngine

HANG, CLAIM = Path(os.environ["HANG"]), Path(os.environ["CLAIM"])


def hang(where):
    with suppress(FileNotFoundError):
        while HANG.read_text() == where:
            time.sleep(0.05)


class Viewer:
    def end(self):
        hang("watch")


class Hanging(SketchEngine):
    def prepare(self, *arguments):
        hang("prepare")
        return Viewer()

    def compose(self, *arguments):
        for track in super().compose(*arguments):
            hang("compose")
            yield track


class Unforeseen(assembly.PostgresQueue):
    async def claim(self):
        if CLAIM.exists():
            raise ZeroDivisionError("nobody foresaw this")
        return await super().claim()


if __name__ == "__main__":  # the processes that master import this file, too
    loading.load_engine = lambda settings, name: Hanging()
    assembly.PostgresQueue = Unforeseen
    assembly.Webhooks = partial(assembly.Webhooks, policy=lambda address: None, poll_every=timedelta(seconds=1))
    main()
