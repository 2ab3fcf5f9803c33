"""`python -IS caller.py SOCKET MODULE ARGUMENTS...`: asks server.py to run that, and stands in its place: files, folder, signals, exit code.

With `-c` in place of the module the argument is what is to be run.
"""

import json
import os
import signal
import socket
import sys

MOST = 64
"""No number of a file that is passed on is higher."""

files = [file for file in range(MOST) if os.path.exists(f"/proc/self/fd/{file}")]  # noqa: PTH110
if sys.argv[2] == "-c":
    import ctypes

    set_pdeathsig = 1  # what masters ends with its worker
    ctypes.CDLL(None).prctl(set_pdeathsig, signal.SIGKILL)
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
place = os.getcwd()  # noqa: PTH109
call = {"module": sys.argv[2], "arguments": sys.argv[3:], "cwd": place, "environ": dict(os.environ), "files": files}
socket.send_fds(server, [json.dumps(call).encode()], files)
for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, lambda number, _: server.sendall(bytes([number])))
code = int(server.recv(9) or -signal.SIGKILL)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
