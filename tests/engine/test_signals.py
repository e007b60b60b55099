import os
import signal
import threading

import pytest

from segdistill.engine.signals import Stopped, StopSignal


@pytest.fixture(autouse=True)
def _same_handlers_afterwards():
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        assert signal.getsignal(signum) is handler
        signal.signal(signum, handler)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_and_does_not_interrupt(signum):
    with StopSignal() as stop:
        assert stop.received == 0
        os.kill(os.getpid(), signum)
        assert stop.received == signum


@pytest.fixture
def interrupts():
    """Python's own handler of SIGINT, which a process started in the background of a shell ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_the_second_signal_acts_as_without_us():
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_of_the_other_kind_reaches_the_handler_of_before():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda signum, _: seen.append(signum))
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGTERM]
        assert stop.received == signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, before)


def test_handlers_are_restored_after_an_error():
    with pytest.raises(RuntimeError), StopSignal():
        raise RuntimeError


def test_outside_the_main_thread_nothing_is_touched():
    received = []

    def work():
        with StopSignal() as stop:
            received.append(stop.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert received == [0]


def test_stopped_names_signal_and_step():
    stop = Stopped(17, signal.SIGTERM)
    assert (stop.step, stop.signum) == (17, 15)
    assert str(stop) == "stopped by SIGTERM after step 17; everything is saved."
