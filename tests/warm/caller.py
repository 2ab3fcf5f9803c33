"""`python -IS caller.py SOCKET MODULE ARGUMENTS...`: asks server.py to run that, and stands in its place: files, folder, signals, exit code.

It starts often: what is built in is there at once, `socket`, `json` and `signal` would take half of its time.
"""

import _signal as signal
import _socket as socket
import marshal
import posix as os
import sys

server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
call = {"module": sys.argv[2], "arguments": sys.argv[3:], "cwd": os.getcwd(), "environ": os.environ}
files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
server.sendmsg([marshal.dumps(call)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, lambda number, _: server.send(bytes([number])))
code = int(server.recv(9) or -signal.SIGKILL)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
