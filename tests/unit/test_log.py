import json
import os
import pty
import subprocess
import sys

import pytest

BUG = """
import structlog
from rhythmai.project import log
log.configure()
def call(key):
    raise ValueError("a bug")
try:
    call("sb_" + "secret" + "_1")
except ValueError:
    structlog.get_logger().exception("job.bug")
"""


def test_every_line_is_json_also_the_engines():
    """On a pipe, structlog's lines and those of the standard library are JSON with level and event."""
    program = """
import logging, structlog
from rhythmai.project import log
log.configure()
structlog.get_logger().info("job.started", kind="merge")
logging.getLogger("worker.engines.mmaudio.engine").info("licence: %s", "CC-BY-NC 4.0")
logging.getLogger("httpx").info("unheard")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "job.started"),
        ("info", "licence: CC-BY-NC 4.0"),
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_traceback_keeps_the_values_of_variables_to_itself(terminal):
    """A bug is logged with its frames and without their variables, which hold keys and signed URLs."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    done = subprocess.Popen([sys.executable, "-c", BUG], stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 2**16):
            said += piece
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    assert done.wait() == 0
    assert b"a bug" in said
    assert b"call" in said
    assert b"sb_secret_1" not in said
