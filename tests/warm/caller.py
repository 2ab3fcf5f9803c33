"""`python -IS caller.py SOCKET MODULE ARGUMENTS...`: asks server.py to run that, and stands in its place: files, folder, signals, exit code."""

import json
import os
import signal
import socket
import sys

server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
call = {"module": sys.argv[2], "arguments": sys.argv[3:], "cwd": os.getcwd(), "environ": dict(os.environ)}  # noqa: PTH109
socket.send_fds(server, [json.dumps(call).encode()], [0, 1, 2])
for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, lambda number, _: server.sendall(bytes([number])))
code = int(server.recv(9) or -signal.SIGKILL)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
