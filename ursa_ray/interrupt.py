"""Ctrl-C and SIGTERM: a render ends in order within seconds, whatever it is doing, or at once if told twice.

Python tells the main thread of a signal between two of its own instructions, as a `KeyboardInterrupt`. That can take
long (a step of a large model), and can be lost (in a finalizer, in a library that catches it). So a thread of its own
hears of every signal too, and ends the process if the main thread does not. Nothing is lost by that: all that
is kept appears whole or not at all.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
LEAVE_WITHIN_S = 8.0

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h"


class Interruptible:
    """The process can be interrupted for as long as the context lasts; `happened` says that it was."""

    def __init__(self) -> None:
        self.happened = self._is_told = False

    def __enter__(self) -> "Interruptible":
        # Preemption and `ray job stop` say SIGTERM; it ends a render as Ctrl-C does.
        self._handlers = {number: signal.signal(number, self._interrupt) for number in SIGNALS}
        self._heard, self._told = socket.socketpair()
        self._told.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(self._heard,), name="interrupts", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        """The thread stays as long as an interrupted process does: leaving can hang too."""
        if not self.happened:
            signal.set_wakeup_fd(self._wakeup)
            self._told.close()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: object) -> None:
        self.happened = True
        if not self._is_told:
            self._is_told = True
            raise KeyboardInterrupt

    def _watch(self, heard: socket.socket) -> None:
        with heard:
            if self._hear(heard, None):
                self.happened = True  # also if a library has put a handler of its own in the place of ours
                if self._hear(heard, LEAVE_WITHIN_S) is not False:
                    _leave()

    @staticmethod
    def _hear(heard: socket.socket, timeout_s: float | None) -> bool | None:
        """Wait for a signal that interrupts; None if none came in time, False if none can come any more."""
        heard.settimeout(timeout_s)
        try:
            while (told := heard.recv(1)) and told[0] not in SIGNALS:  # other signals come here as well
                pass
        except TimeoutError:
            return None
        return bool(told)


def _leave() -> None:
    """End this process now; children that feed on its pipes, and a Ray cluster of its own, end with it."""
    if sys.stderr.isatty():
        os.write(2, SHOW_CURSOR)
    os._exit(INTERRUPTED)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put an interruption off to the end of the block; for what takes milliseconds and must not be cut in two."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    put_off: list[signal.Signals] = []
    handlers = {
        number: signal.signal(number, lambda number, _: put_off.append(signal.Signals(number))) for number in SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in put_off[:1]:
            # Raised again, it would be heard as a second one.
            if callable(handler := handlers[number]):
                handler(number, None)
