"""Wrong input, one by one: the kind of the exception, and a sentence that says what to do."""

import copy
import os
import pickle
import shutil

import numpy as np
import pytest
from conftest import QUICK

import charflow
from charflow import CharacteristicFlow, FileError, NotFittedError, ProblemError, SettingError

GOOD = np.random.default_rng(0).normal(size=(60, 2))


def test_errors_are_pythons_own_kinds_too():
    for ours, theirs in (
        (ProblemError, ValueError),
        (SettingError, ValueError),
        (FileError, OSError),
        (charflow.NumericalError, ArithmeticError),
        (charflow.InternalError, RuntimeError),
        (NotFittedError, ValueError),
        (NotFittedError, AttributeError),
    ):
        assert issubclass(ours, theirs) and issubclass(ours, charflow.Error)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (GOOD[:, 0], "X has one axis, of length 60.*Reshape"),
        (GOOD[None], "X has 3 axes, of shape .1, 60, 2."),
        (3.5, "X is a single value"),
        (None, "X is a single value"),
        ("run", "X is a single value"),
        (np.zeros((0, 2)), "X: there are no rows"),
        (np.zeros((5, 0)), r"0 feature\(s\)"),
        ([], "one axis, of length 0"),
        ([[1.0, 2.0], [3.0]], "no table of numbers"),
        (np.where(GOOD > 2, np.nan, GOOD) * [1, np.nan], "X, row 1, column `x2`: the value is NaN"),
        (np.where(np.arange(120).reshape(60, 2) == 7, np.inf, GOOD), "X, row 4, column `x2`: the value is inf"),
        (GOOD * 1e300, "too large for single precision|1e100"),
        (GOOD + 1j, "Complex data not supported"),
        (np.array([["a", "b"], ["c", "d"]]), "row 1, column `x1`: expected a number, found 'a'"),
        (np.array([[1, 2], [3, {"a": 1}]], dtype=object), "row 2, column `x2`: expected a number, found {'a': 1}"),
        (np.zeros((5, 2), dtype="M8[D]"), "coordinates are numbers"),
        (np.ma.masked_array(GOOD, GOOD > 0), "masked values"),
        (GOOD[:1], "one point"),
        (GOOD[:, :1], "X has 1 column"),
    ],
)
def test_points_that_make_no_sense(x, words):
    flow = CharacteristicFlow(**QUICK)
    with pytest.raises(ProblemError, match=words):
        flow.fit(x, GOOD)
    assert not flow.__sklearn_is_fitted__()


def test_a_sparse_matrix_is_told_what_to_do():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ProblemError, match="sparse.*toarray"):
        CharacteristicFlow(**QUICK).fit(scipy_sparse.csr_matrix(GOOD), GOOD)


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"x_labels": ["a"] * 59, "y_labels": ["a"] * 60}, "X: 59 labels for 60 points"),
        ({"x_labels": ["a"] * 60}, "X has class labels, Y has none"),
        ({"x_labels": ["a"] * 60, "y_labels": ["b"] * 60}, "partner"),
        ({"x_labels": ["a"] * 59 + [""], "y_labels": ["a"] * 60}, "row 60 is empty"),
        ({"x_labels": [None] * 60, "y_labels": ["a"] * 60}, "none of the 60 points has a label"),
        ({"x_labels": np.zeros((60, 2)), "y_labels": ["a"] * 60}, "x_labels has shape .60, 2."),
        ({"y_weights": np.ones(3)}, "Y: 3 weights for 60 points"),
        ({"x_weights": -np.ones(60)}, "X, row 1, column `weights`: the weight is -1"),
        ({"x_weights": np.full(60, np.nan)}, "the weight is NaN"),
        ({"x_weights": np.zeros(60)}, "sum to zero"),
        ({"x_weights": ["heavy"] * 60}, "x_weights are no numbers"),
    ],
)
def test_labels_and_weights_that_do_not_fit(beside, words):
    with pytest.raises(ProblemError, match=words):
        CharacteristicFlow(**QUICK).fit(GOOD, GOOD + 1.0, **beside)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cost": "cubic"}, "cubic"),
        ({"cost": "elastic:many"}, "elastic"),
        ({"cost": ("power", 0.5)}, "power"),
        ({"cost": 3}, "cost: expected a name such as"),
        ({"cost": ("mahalanobis", [["a"]])}, "beside the name 'mahalanobis'"),
        ({"cost": ("mahalanobis", [[1.0], [1.0, 2.0]])}, "beside the name 'mahalanobis'"),
        ({"cost": ("elastic", None)}, "beside the name 'elastic'"),
        ({"cost": ("mahalanobis", [[1.0, 2.0], [2.0, 1.0]])}, "positive"),
        ({"effort": "much"}, "much"),
        ({"effort": 3}, "effort: expected a name"),
        ({"preset": "fast"}, "fast"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"seed": 2**70}, "seed: expected at most"),
        ({"steps": "many"}, "steps: expected a whole number"),
        ({"steps": True}, "steps: expected a whole number"),
        ({"time_limit": "5m"}, "time_limit: expected a number"),
        ({"time_limit": -1.0}, "time_limit"),
        ({"threads": -1}, "threads: expected a whole number"),
        ({"threads": 10**9}, "threads"),
        ({"settings": {"optimiser.speed": 1.0}}, "speed"),
        ({"settings": {"optimiser": {"rate": -1.0}}}, "optimiser.rate"),
        ({"settings": {"optimiser.rate": object()}}, "optimiser.rate: expected a number"),
        ({"settings": {"steps": 3}}, "argument of its own"),
        ({"settings": 3}, "expected a dictionary"),
    ],
)
def test_arguments_that_make_no_sense(arguments, words):
    flow = CharacteristicFlow(**{**QUICK, **arguments})
    # Nothing is looked at before the fit, as with scikit-learn.
    with pytest.raises(SettingError, match=words):
        flow.fit(GOOD, GOOD + 1.0)


def test_a_matrix_of_the_cost_for_other_points():
    cost = ("mahalanobis", np.eye(3))
    with pytest.raises(ProblemError, match="the cost is for 3"):
        CharacteristicFlow(**{**QUICK, "cost": cost}).fit(GOOD, GOOD)
    with pytest.raises(FileError, match="no such file"):
        CharacteristicFlow(**{**QUICK, "cost": "mahalanobis:gone.npy"}).fit(GOOD, GOOD)


def test_before_fit(tmp_path):
    flow = CharacteristicFlow()
    for call in (
        lambda: flow.transform(GOOD),
        lambda: flow.inverse_transform(GOOD),
        lambda: flow.interpolate(GOOD, 0.5),
        lambda: flow.potential(GOOD),
        lambda: flow.gradient(GOOD),
        lambda: flow.kantorovich(GOOD, GOOD),
        lambda: flow.certificate(GOOD, GOOD),
        lambda: flow.evaluate(GOOD, GOOD),
        lambda: flow.resume(GOOD, GOOD),
        lambda: flow.save(tmp_path / "run"),
        lambda: flow.get_feature_names_out(),
    ):
        with pytest.raises(NotFittedError, match="is not fitted yet. Call fit"):
            call()
    assert not (tmp_path / "run").exists()


def test_not_fitted_goes_through_pickle():
    for sklearn_too in (False, True):
        if sklearn_too:
            pytest.importorskip("sklearn.exceptions")
        with pytest.raises(NotFittedError) as raised:
            CharacteristicFlow().transform(GOOD)
        again = pickle.loads(pickle.dumps(raised.value))
        assert isinstance(again, NotFittedError) and str(again) == str(raised.value)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda f: f.transform(GOOD[:, :1]), ProblemError, "X has 1 features, but .* is expecting 2"),
        (lambda f: f.inverse_transform(np.ones((3, 5))), ProblemError, "Y has 5 features"),
        (lambda f: f.transform(np.where(GOOD > 1, np.nan, GOOD)), ProblemError, "row .*, column .* is NaN"),
        (lambda f: f.transform(GOOD * 1e200), ProblemError, "too far outside"),
        (lambda f: f.interpolate(GOOD, 1.5), ProblemError, r"time 1.5 is outside \[0, 1\]"),
        (lambda f: f.interpolate(GOOD, float("nan")), ProblemError, "time NaN"),
        (lambda f: f.interpolate(GOOD, "half"), SettingError, "t: expected a number"),
        (lambda f: f.interpolate(GOOD, []), SettingError, "t is empty"),
        (lambda f: f.certificate(GOOD, GOOD[:1]), ProblemError, "one point"),
        (lambda f: f.certificate(GOOD, GOOD[:, :1]), ProblemError, "Y has 1 features, but .* is expecting 2"),
        (lambda f: f.kantorovich(GOOD, GOOD[:, :1]), ProblemError, "Y has 1 features"),
        (lambda f: f.plot(GOOD, GOOD, x_labels=["a"]), ProblemError, "x_labels: 1 labels for 60 points"),
        (lambda f: f.get_feature_names_out(["a", "b", "c"]), ProblemError, "input_features has 3"),
        (lambda f: f.set_output(transform="excel"), SettingError, "'pandas' or 'polars'"),
        (lambda f: copy.copy(f).set_params(threads=2000).transform(GOOD), SettingError, "at most 1024"),
        (lambda f: f.evaluate(GOOD, GOOD, x_labels=["a"]), ProblemError, "1 label for 60 points"),
        (lambda f: f.set_params(stepz=3), SettingError, "Invalid parameter 'stepz'"),
    ],
)
def test_calls_that_make_no_sense(flow, call, kind, words):
    with pytest.raises(kind, match=words):
        call(flow)


def test_runs_that_are_not_there_or_damaged(flow, tmp_path):
    load = CharacteristicFlow.load
    with pytest.raises(FileNotFoundError, match="there is no such run directory or model file") as raised:
        load(tmp_path / "gone")
    assert isinstance(raised.value, FileError)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="holds no model.safetensors"):
        load(tmp_path / "empty")
    run = tmp_path / "run"
    flow.save(run)
    assert CharacteristicFlow.load(run)
    for name, damage in (
        ("model.safetensors", lambda b: b[: len(b) // 2]),
        ("model.safetensors", lambda b: b""),
        ("model.safetensors", lambda b: b"not a model" * 100),
        ("config.toml", lambda b: b"steps = ["),
        ("data.toml", lambda b: b.replace(b"rows", b"ROWS")),
        ("report.json", lambda b: b[: len(b) // 2]),
        ("report.json", lambda b: b"\xff\xfe"),
        ("report.json", lambda b: b"[]"),
        ("report.json", lambda b: b"{}"),
        ("report.json", lambda b: b'{"solve": {}}'),
        ("report.json", lambda b: b.replace(b'"certificate"', b'"certainty"')),
        ("history.csv", lambda b: b.replace(b",", b";", 50)),
    ):
        other = tmp_path / "damaged"
        shutil.copytree(run, other)
        (other / name).write_bytes(damage((other / name).read_bytes()))
        with pytest.raises(FileError, match=name):
            load(other)
        shutil.rmtree(other)
    # Without a report there is a map all the same; it says why it is not saved.
    other = tmp_path / "unreported"
    shutil.copytree(run, other)
    (other / "report.json").unlink()
    half = load(other)
    assert half.report_ is None and half.transform(GOOD).shape == GOOD.shape
    with pytest.raises(FileError, match="without the record of its data or its report"):
        half.save(tmp_path / "copy")
    # A checkpoint is needed only to go on.
    checkpoint = run / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    half = load(run)
    assert half.transform(GOOD).shape == GOOD.shape
    with pytest.raises(ProblemError, match="checkpoint.safetensors"):
        half.resume(GOOD, GOOD, steps=99)
    alone = tmp_path / "map.safetensors"
    flow.save(alone)
    with pytest.raises(ProblemError, match="no state of its solve"):
        load(alone).resume(GOOD, GOOD)
    with pytest.raises(FileError, match="without the record of its data"):
        load(alone).save(tmp_path / "whole")


def test_places_where_nothing_is_saved(flow, tmp_path):
    run = tmp_path / "run"
    flow.save(run)
    with pytest.raises(FileError, match="holds a run already. Replace it by overwrite=True"):
        flow.save(run)
    flow.save(run, overwrite=True)
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.txt").write_text("years")
    for overwrite in (False, True):
        with pytest.raises(FileError, match="thesis"):
            flow.save(thesis, overwrite=overwrite)
    assert os.listdir(thesis) == ["chapter1.txt"]
    with pytest.raises(FileError, match="is no folder"):
        flow.save(thesis / "chapter1.txt")
    alone = tmp_path / "map.safetensors"
    flow.save(alone)
    with pytest.raises(FileError, match="exists already"):
        flow.save(alone)


def test_a_failed_fit_leaves_the_fitted_map(data):
    flow = CharacteristicFlow(**QUICK).fit(*data)
    before = flow.transform(GOOD)
    with pytest.raises(ProblemError):
        flow.fit(GOOD, GOOD[:, :1])
    assert np.array_equal(flow.transform(GOOD), before)
