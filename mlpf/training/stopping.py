"""Ctrl-C and SIGTERM, by which batch systems announce the end of a job: a training ends after the step under way, with a checkpoint of it."""

import signal
import threading
import time
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_WISH = 1.0  # s within which signals mean one wish to end: timeout(1) sends its own twice


class StopSignals:
    """Inside this block, from `listen` on, a first signal is only noted; another one, later, does what it would have done outside.

    Signals that the process ignores, as in the background of a script, stay ignored.

    Attributes:
        received: signal that was noted.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._time = 0.0
        self._outside = {}
        if threading.current_thread() is threading.main_thread():  # only there can handlers be set
            self._outside = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def listen(self) -> None:
        """Begin; after Lightning has set handlers of its own, of which that for several processes would wait in the middle of a step for all of them."""
        for number in self._outside:
            signal.signal(number, self._note)

    def end(self) -> None:
        """Do what the signal, or that of another process, would have done outside the block."""
        self._restore()
        signal.raise_signal(self.received or signal.SIGTERM)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._time = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._time > SAME_WISH:
            self.end()

    def _restore(self) -> None:
        for number, handler in self._outside.items():
            signal.signal(number, handler)
