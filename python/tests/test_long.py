"""Long calls: the interpreter goes on, Ctrl-C stops them cleanly, threads and processes do not disturb each other, a bar is shown."""

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


def _transformed(flow, X, results):
    results.put(flow.transform(X))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_does_not_wait_for_threads_it_does_not_have(flow, data):
    X = data[0]
    expected = flow.transform(X)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_transformed, args=(flow, X, results))
    child.start()
    try:
        assert np.array_equal(results.get(timeout=60), expected)
    finally:
        child.kill()
        child.join()
