import json
import subprocess
import sys


def test_every_line_is_json_also_the_engines():
    """On a pipe, structlog's lines and those of the standard library are JSON with level and event."""
    program = """
import logging, structlog
from worker import log
log.configure()
structlog.get_logger().info("job.started", kind="merge")
logging.getLogger("worker.pipeline.mmaudio.engine").info("licence: %s", "CC-BY-NC 4.0")
logging.getLogger("httpx").info("unheard")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "job.started"),
        ("info", "licence: CC-BY-NC 4.0"),
    ]
