"""What ffmpeg complained of, for the person who can act."""

import re

_SPEAKERS = re.compile(r"^([^][]*\] *)?(\[[^]]*\] *)*")
"""Who says it and where in memory it lies, of the first line perhaps the end alone: `[out#0/mp4 @ 0x55f4c0ffee00] `."""
_ADDRESS = re.compile(r"( at| @)? ?0x[0-9a-f]+", re.IGNORECASE)
_CONSEQUENCES = (
    "Nothing was written",
    "Conversion failed",
    "Error while filtering",
    "Error submitting",
    "Terminating thread",
    "Task finished with error",
    "Could not open encoder before EOF",
    "Last message repeated",
    "Error sending frames",
)


def in_words(complaints: str) -> str:
    """The first line that names a cause rather than what came of it, without names of ffmpeg's parts and addresses of memory.

    A decoding error goes first, in ffmpeg's words: its decoders, each in a thread, say all sorts of things, and the first line may be cut.
    """
    lines = [_ADDRESS.sub("", _SPEAKERS.sub("", line)).strip() for line in complaints.splitlines()]
    said = [line for line in lines if line]
    causes = [line for line in said if not any(words in line for words in _CONSEQUENCES)]
    told = causes or said
    return max(told, key=lambda line: line.startswith("Decoding error"), default="ffmpeg gave no reason")[:300]
