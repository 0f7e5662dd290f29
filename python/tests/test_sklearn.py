"""In the manner of scikit-learn: its own checks, clones, pipelines."""

import numpy as np
import pytest
from conftest import QUICK, clouds

from charflow import CharacteristicFlow, NotFittedError

sklearn = pytest.importorskip("sklearn")
checks = pytest.importorskip("sklearn.utils.estimator_checks")

class BetweenACloudAndItself(CharacteristicFlow):
    """The estimator as scikit-learn's checks can call it: the target is the source, whatever `y` is. All else is the class under test."""

    def fit(self, X, y=None):
        return super().fit(X, X)

    def fit_transform(self, X, y=None):
        return self.fit(X).transform(X)


SMALL = BetweenACloudAndItself(steps=20, settings={"network.hidden": [8]}, progress=False)

#: Its checks that do not apply, and why. All others call fit(X, y) with a column `y`, which is no second cloud: hence the class above.
EXPECTED = {
    "check_dtype_object": "a cell that is no number is a ValueError that names row and column, as in the command; the check wants a TypeError",
    "check_fit2d_1sample": "one point is refused in the words of the command ('a measure needs at least two points'), which are not the ones looked for",
}


@checks.parametrize_with_checks([SMALL], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_clones_have_the_same_arguments(data):
    cost = ("mahalanobis", np.eye(2))
    flow = CharacteristicFlow(cost=cost, **QUICK)
    other = sklearn.base.clone(flow.fit(*data))
    assert other.get_params() == {**flow.get_params(), "cost": other.cost, "settings": other.settings}
    assert np.array_equal(other.cost[1], cost[1]) and other.settings == flow.settings
    assert not other.__sklearn_is_fitted__()


def test_a_step_of_a_pipeline():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, Y = clouds()
    scaler = StandardScaler().fit(np.concatenate([X, Y]))
    flow = CharacteristicFlow(**QUICK).fit(scaler.transform(X), scaler.transform(Y))
    pipe = make_pipeline(scaler, flow)
    assert np.array_equal(pipe.transform(X), flow.transform(scaler.transform(X)))
    assert pipe.inverse_transform(Y).shape == Y.shape
    # Fitted as a whole, the target goes in as it is.
    fresh = make_pipeline(StandardScaler(), CharacteristicFlow(**QUICK)).fit(X, Y)
    assert np.abs(fresh.transform(X).mean(axis=0) - Y.mean(axis=0)).max() < 1.0
    assert pipe.get_params()["characteristicflow__seed"] == 3
    assert pipe.set_params(characteristicflow__seed=4)[-1].seed == 4


def test_frames_come_out_where_that_is_asked_for(data):
    pandas = pytest.importorskip("pandas")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, Y = data
    pipe = make_pipeline(StandardScaler(), CharacteristicFlow(**QUICK)).fit(X, Y)
    out = pipe.set_output(transform="pandas").transform(X)
    assert isinstance(out, pandas.DataFrame) and out.shape == X.shape
    assert isinstance(pipe.set_output(transform="default").transform(X), np.ndarray)


def test_not_fitted_is_scikit_learns_too():
    from sklearn.exceptions import NotFittedError as Theirs
    from sklearn.utils.validation import check_is_fitted

    flow = CharacteristicFlow()
    for kind in (Theirs, NotFittedError, ValueError, AttributeError):
        with pytest.raises(kind):
            flow.transform([[0.0, 0.0]])
    with pytest.raises(Theirs):
        check_is_fitted(flow)
    check_is_fitted(flow.set_params(**QUICK).fit(*clouds()))


def test_scikit_learn_is_not_needed():
    import subprocess
    import sys

    code = (
        "import sys, numpy, charflow; f = charflow.CharacteristicFlow(steps=5, progress=False)\n"
        "f.fit(numpy.random.rand(50, 2), numpy.random.rand(50, 2)).transform([[0.1, 0.2]])\n"
        "heavy = {'sklearn', 'scipy', 'pandas', 'polars', 'matplotlib', 'anndata', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
