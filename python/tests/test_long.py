"""Long calls: the interpreter goes on, Ctrl-C stops them cleanly, threads and processes do not disturb each other, a bar is shown."""

import copy
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import QUICK, clouds

import charflow
from charflow import CharacteristicFlow


def test_a_fit_leaves_the_interpreter_free():
    X, Y = clouds(3000, 3000)
    done = threading.Event()

    def work():
        CharacteristicFlow(time_limit=1.5, progress=False).fit(X, Y)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    ticks, longest, last = 0, 0.0, time.monotonic()
    while not done.is_set():
        time.sleep(0.005)
        now = time.monotonic()
        ticks, longest, last = ticks + 1, max(longest, now - last), now
    thread.join()
    # With the lock held there would be one tick, at the end.
    assert ticks > 30 and longest < 1.0


def test_fits_in_threads_are_those_of_one_after_the_other(data):
    X, Y = data
    alone = {seed: CharacteristicFlow(**{**QUICK, "seed": seed}).fit(X, Y).transform(X) for seed in range(4)}
    found = {}

    def work(seed):
        found[seed] = CharacteristicFlow(**{**QUICK, "seed": seed}).fit(X, Y).transform(X)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[seed], alone[seed]) for seed in alone)


def test_one_map_serves_many_threads(flow, data):
    X, expected = data[0], flow.transform(data[0])
    results = []

    def work():
        results.extend(np.array_equal(flow.transform(X), expected) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 120 and all(results)


INTERRUPTED = """
    import sys, warnings
    import numpy as np
    import charflow
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)) ** 2
    flow = charflow.CharacteristicFlow(steps=10**6, settings={"held_out.patience": 0}, progress=False)
    print("begun", flush=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flow.fit(X, Y)
    assert flow.outcome_ == "interrupted" and flow.certificate_ is None, flow.outcome_
    steps = flow.report_["solve"]["steps"]
    assert 0 < steps < 10**6
    assert any("resume" in str(w.message) for w in caught)
    assert np.isfinite(flow.transform(X)).all()
    flow.resume(X, Y, steps=steps + 5)
    assert flow.report_["solve"]["steps"] == steps + 5 and flow.certificate_ is not None
    print("well")
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_interrupt_keeps_the_model_so_far():
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "begun\n"
    time.sleep(2.0)
    asked = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (0, "well\n"), err
    assert time.monotonic() - asked < 30


def test_interrupted_and_resumed_it_is_the_fit_that_was_not(data, monkeypatch):
    X, Y = data
    arguments = {**QUICK, "steps": 4000, "settings": {"network.hidden": [16, 16], "held_out.patience": 0}}
    whole = CharacteristicFlow(**arguments).fit(X, Y)
    from charflow import _progress

    def interrupt(self, step, *others):
        # As when Ctrl-C comes while the bar is drawn.
        raise KeyboardInterrupt

    monkeypatch.setattr(_progress.Progress, "__call__", interrupt)
    parts = CharacteristicFlow(**{**arguments, "progress": True})
    with pytest.warns(charflow.FitWarning, match="interrupted after"):
        parts.fit(X, Y)
    stopped = parts.report_["solve"]["steps"]
    assert 0 < stopped < 4000 and parts.certificate_ is None
    parts.set_params(progress=False).resume(X, Y)
    assert parts.outcome_ == whole.outcome_ == "step_limit"
    assert np.array_equal(parts.transform(X), whole.transform(X))


def test_an_exception_of_the_bar_ends_the_fit(data, monkeypatch):
    from charflow import _progress

    def broken(self, *standing):
        raise RuntimeError("the bar broke")

    monkeypatch.setattr(_progress.Progress, "__call__", broken)
    flow = CharacteristicFlow(**{**QUICK, "steps": 10**6, "progress": True})
    with pytest.raises(RuntimeError, match="the bar broke"):
        flow.fit(*data)
    assert not flow.__sklearn_is_fitted__()


def test_a_bar_is_shown_where_it_is_wanted(data, capfd):
    pytest.importorskip("tqdm")
    CharacteristicFlow(**{**QUICK, "progress": True}).fit(*data)
    assert "charflow" in capfd.readouterr().err
    # Not on a file, unless asked for.
    CharacteristicFlow(**{**QUICK, "progress": None}).fit(*data)
    CharacteristicFlow(**QUICK).fit(*data)
    seen = capfd.readouterr()
    assert seen.err == "" and seen.out == ""


def test_a_bar_without_tqdm(data, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    CharacteristicFlow(**{**QUICK, "progress": True}).fit(*data)
    assert "step 40 of 40" in capfd.readouterr().err


def _worked(flow, X, Y, results):
    fresh = CharacteristicFlow(**QUICK).fit(X, Y)
    further = fresh.resume(X, Y, steps=50).transform(X)
    results.put((flow.transform(X), further, flow.certificate(X, Y).sentence))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_threads_it_does_not_have(data):
    X, Y = data
    # Everything has been used here before.
    flow = CharacteristicFlow(**QUICK).fit(X, Y)
    expected = flow.transform(X), copy.deepcopy(flow).resume(X, Y, steps=50).transform(X), flow.certificate(X, Y).sentence
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_worked, args=(flow, X, Y, results))
    child.start()
    try:
        found = results.get(timeout=60)
    finally:
        child.kill()
        child.join()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected))


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_certificate_is_left_at_once_and_a_fit_in_its_judging_is_kept(data):
    code = """
        import os, signal, threading, time
        import numpy as np
        import charflow
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(20000, 20)), rng.normal(size=(20000, 20)) ** 2
        flow = charflow.CharacteristicFlow(steps=5, progress=False).fit(X[:500], Y[:500])
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            flow.evaluate(X, Y)
            print("over")
        except KeyboardInterrupt:
            print(time.monotonic() - began < 1.5)
        print(flow.transform(X[:10]).shape, flush=True)
        os._exit(0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "True\n(10, 20)\n", done.stdout + done.stderr
