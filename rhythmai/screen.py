"""What people see of a job: a spinner, bars and coloured lines in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import fill
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.status import Status

from rhythmai.answers import Result
from rhythmai.errors import Unreachable
from rhythmai.events import Event, JobDeleted, PlanMade, ResultReady
from rhythmai.transfer import Progress

WORDS: Final = {
    "pending": "waiting for a worker",
    "processing": "a worker has it",
    "fetching": "fetching the video",
    "describing": "watching the video and writing directions",
    "composing": "composing",
    "hearing": "listening where somebody speaks",
    "merging": "putting the music under the video",
    "packing": "packing the track",
}


class Screen:
    """Lines that stay and, in a terminal, one that tells what goes on right now."""

    def __init__(self, *, stderr: bool = False) -> None:
        # What is shown comes from models and strangers: it is text, never markup.
        self._console = Console(markup=False, highlight=False, soft_wrap=True, stderr=stderr)
        self._status: Status | None = None
        self._bars: Bars | None = None
        self._doing = self._stage = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()

    def say(self, line: str, style: str | None = None, hang: int = 0) -> None:
        """A line that stays; what of it does not fit into a terminal goes on below, `hang` columns to the right."""
        line = _printable(line)
        if hang and self._console.is_terminal:
            indent = " " * hang
            line = fill(
                line, self._console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
        self._console.print(line, style=style)

    def doing(self, what: str) -> None:
        """What goes on right now."""
        if what == self._doing:
            return
        self._doing = what
        if not self._console.is_terminal:
            self.say(f"... {what}")
        elif self._status:
            self._status.update(_printable(what))
        else:
            self._end_bars()
            self._status = self._console.status(_printable(what))
            self._status.start()

    def transfer(self, what: str) -> Progress:
        """A bar to be told how many bytes are there, of how many (0: nobody knows)."""
        return self._bar(what, _megabytes)

    def count(self, what: str) -> Progress:
        """A bar to be told how many of many are done."""
        return self._bar(what, lambda done, total: f"{done}/{total}")

    def _bar(self, what: str, far: Callable[[int, int], str]) -> Progress:
        if not self._console.is_terminal:
            self.doing(what)
            return lambda done, total: None
        if self._bars is None:
            self.rest()
            columns = TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[far]}")
            self._bars = Bars(*columns, TimeRemainingColumn(), console=self._console, transient=True)
            self._bars.start()
        bars, task = self._bars, self._bars.add_task(_printable(what), total=None, far="")
        return lambda done, total: bars.update(task, completed=done, total=total or None, far=far(done, total))

    def event(self, event: Event) -> None:
        """News of a job."""
        if isinstance(event, ResultReady):
            self.result(event.result)
        elif isinstance(event, PlanMade):
            self.say(f"  to come: {', '.join(direction.title for direction in event.directions)}")
        elif isinstance(event, JobDeleted):
            self.rest()
            self.say("The job was deleted.", "red")
        elif not event.ended:
            self._stage = WORDS.get(event.stage or event.status, event.stage or event.status)
            if event.waiting_for == "engine":
                self._stage = f"waiting until a worker has the engine {event.engine}"
            self.doing(self._stage)
        else:
            self.rest()
            if event.status == "completed":
                count = f": {event.completed_count} of {event.total_count}" if event.total_count else ""
                self.say(f"Completed{count}.", "green")
            else:
                self.say("The job was cancelled." if event.status == "cancelled" else f"Failed: {event.error}", "red")

    def trouble(self, away: Unreachable | None) -> None:
        """Why there is no news of a job; None once there is again."""
        told = f"{away} (trying again)" if away else self._stage
        if told:  # before the first news there is no stage to go back to
            self.doing(told)

    def result(self, result: Result) -> None:
        """A track, the video of a merge, or a pack."""
        licence = result.licence
        use = f"commercial use: {'yes' if licence.commercial else 'no'} ({licence.name})" if licence else ""
        if result.pack_url:
            self.say(f"  pack: {result.pack_url}", "bold")
            return
        if result.video_url:
            self.say(f"  video: {result.video_url}", "bold")
            if use:
                self.say(f"     {use}")
            return
        facts = [
            result.key or "",
            f"{result.bpm:.0f} bpm" if result.bpm else "",
            f"{result.duration:.1f} s" if result.duration else "",
            use,
        ]
        self.say(f"  {result.index + 1}. {result.title} ({', '.join(filter(None, facts))})", "bold")
        self.say(f"     {result.prompt}", hang=5)
        if result.mended:
            self.say(f"     new from {result.mended.start:g} to {result.mended.end:g} s")
        if result.fit and result.fit.hits:
            self.say(f"     hits: {', '.join(map(_late, result.fit.hits))}", hang=5)
        if result.ignored:
            self.say(f"     {result.engine} does not know {', '.join(result.ignored)}", "yellow", hang=5)
        self.say(f"     {result.audio_url}", "blue")

    def rest(self) -> None:
        """Nothing goes on any more."""
        self._doing = ""
        if self._status:
            self._status.stop()
            self._status = None
        self._end_bars()

    def _end_bars(self) -> None:
        if self._bars:
            self._bars.stop()
            self._bars = None


def _late(error_s: float | None) -> str:
    if error_s is None:
        return "none heard"
    return f"{abs(error_s) * 1000:.0f} ms {'late' if error_s > 0 else 'early'}"


def _megabytes(done: int, total: int) -> str:
    whole = f"/{total / 2**20:.1f}" if total else ""
    return f"{done / 2**20:.1f}{whole} MB"


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
