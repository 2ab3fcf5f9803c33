"""A child of the harness that is killed, stopped and started again."""

import asyncio
import os
import signal
import sys


class Program:
    """`command` is what follows `python`; everything it says goes to `log`."""

    def __init__(self, name, command, environment, log):
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process = None

    @property
    def gone(self):
        """The exit code of a program that ended without our doing; None while it runs."""
        return self.process.returncode

    async def start(self):
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", *self.command, env=os.environ | self.environment, stdout=log, stderr=log
            )

    def tell(self, what):
        """Send a signal; one that has just ended does not hear it."""
        if self.process.returncode is None:
            self.process.send_signal(what)

    async def end(self, how=signal.SIGTERM, patience_s=60):
        self.tell(how)
        try:
            await asyncio.wait_for(self.process.wait(), patience_s)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
