"""`python -IS caller.py SOCKET MODULE ARGUMENTS...`: asks server.py to run that, and stands in its place: files, folder, signals, exit code.

With `-c` in place of the module the argument is what is to be run.

It starts often: what is built in is there at once, `socket`, `json` and `signal` would take half of its time.
"""

import _signal as signal
import _socket as socket
import marshal
import posix as os
import sys

MOST = 64
"""No number of a file that is passed on is higher."""


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


files = [number for number in range(MOST) if is_open(number)]
if sys.argv[2] == "-c":
    import ctypes

    set_pdeathsig = 1  # what masters ends with its worker
    ctypes.CDLL(None).prctl(set_pdeathsig, signal.SIGKILL)
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
call = {"module": sys.argv[2], "arguments": sys.argv[3:], "cwd": os.getcwd(), "environ": os.environ, "files": files}
numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in files)
server.sendmsg([marshal.dumps(call)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, lambda number, _: server.send(bytes([number])))
code = int(server.recv(9) or -signal.SIGKILL)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
