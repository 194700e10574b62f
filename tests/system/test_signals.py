from __future__ import annotations

import os
import signal
import threading

import pytest

from kerastl.system import signals


def test_within_it_sigterm_is_an_exception_and_afterwards_what_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, signals.sigterm_exits():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_nothing_changes():
    seen, before = [], signal.getsignal(signal.SIGTERM)

    def run():
        with signals.sigterm_exits():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
