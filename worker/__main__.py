"""`python -m worker`: one worker. The only place that reads the environment.

Exit codes: 0 drained, 2 misconfigured, 3 the device is lost or hangs (a supervisor should start the process again).
"""

import asyncio
import os
import signal
import sys


def main() -> None:
    # Not above: each process that masters runs what stands there.
    from rhythmai.project import log as logs
    from rhythmai.project.extras import what_to_install
    from worker.errors import Misconfigured
    from worker.pipeline.look.confinement import hide
    from worker.scratch import keep_in, scratch
    from worker.settings import SECRETS, read_settings

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the worker has its own way to end
    hide()
    logs.configure()
    try:
        from worker.assembly import work
    except ModuleNotFoundError as missing:
        print(f"rhythmai-worker: {what_to_install(missing)}", file=sys.stderr)
        sys.exit(2)
    try:
        settings = read_settings()
        for name in SECRETS:  # they have been read; processes that master would inherit them
            os.environ.pop(name, None)
        with scratch(settings.work_dir) as folder:
            keep_in(folder)
            code = asyncio.run(work(settings.model_copy(update={"work_dir": folder})))
    except Misconfigured as error:
        code = error.tell()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
