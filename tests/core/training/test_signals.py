import os
import signal
import subprocess
import sys
import threading

import pytest

from core.training.signals import SignalWatch


def test_the_first_signal_is_noted_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with SignalWatch() as watch:
        assert watch.received == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert watch.received == signal.SIGTERM
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


@pytest.mark.parametrize("first,second", [("SIGTERM", "SIGTERM"), ("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT")])
def test_the_second_signal_ends_the_process_at_once(first, second):
    code = (
        "import os, signal; from core.training.signals import SignalWatch\n"
        f"with SignalWatch(): os.kill(os.getpid(), signal.{first}); os.kill(os.getpid(), signal.{second})\n"
        "print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.Signals[second].value, "")


def test_a_forked_worker_leaves_signals_to_the_trainer():
    reader, writer = os.pipe()
    with SignalWatch() as watch:
        child = os.fork()
        if child == 0:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
                os.kill(os.getpid(), number)
            os.write(writer, b"alive")
            os._exit(0)
        assert os.read(reader, 5) == b"alive"
        assert os.waitpid(child, 0)[1] == 0
        assert watch.received == 0


def test_outside_the_main_thread_it_does_nothing():
    seen = []

    def work():
        with SignalWatch() as watch:
            seen.append(watch.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]
