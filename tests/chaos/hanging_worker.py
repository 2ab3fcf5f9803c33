"""`python -m worker` as the harness needs it: its webhooks may go to this machine, and while the file HANG is there its engine hangs.

The heart of a hanging worker beats on, as that of a machine whose GPU hangs.
"""

import os
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from worker import assembly
from worker.__main__ import main
from worker.engines.sketch.engine import SketchEngine

HANG = Path(os.environ["HANG"])


class Hanging(SketchEngine):
    def compose(self, *arguments):
        for track in super().compose(*arguments):
            while HANG.exists():
                time.sleep(0.05)
            yield track


if __name__ == "__main__":  # the processes that master import this file, too
    assembly.load_engine = lambda settings: Hanging()
    assembly.Webhooks = partial(assembly.Webhooks, policy=lambda address: None, poll_every=timedelta(seconds=1))
    main()
