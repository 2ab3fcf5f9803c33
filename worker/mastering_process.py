"""Where processes that master come from: a server imports this once, and each of them is a fork of it with all of that ready.

Not to be imported elsewhere: it changes the process that does.
"""

import os

from worker.pipeline.look.child import NICE
from worker.pipeline.look.confinement import die_with, hide

hide()
die_with(os.getppid())  # or it would wait for its forks, which wait for it
os.nice(NICE)
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each has one track and one core; and what forks has one thread

import worker.pipeline.finish.fit  # noqa: E402
import worker.pipeline.finish.mend  # noqa: E402, F401
