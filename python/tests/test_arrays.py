"""What goes in comes out: precision, strides, frames with their names, tensors."""

import numpy as np
import pytest
from conftest import QUICK, clouds

import charflow
from charflow import CharacteristicFlow


def test_every_layout_is_the_same_points(flow, data):
    X = data[0]
    expected = flow.transform(X)
    wide = np.zeros((len(X), 5))
    wide[:, 1::2] = X
    tall = np.zeros((2 * len(X), 2))
    tall[::2] = X
    records = np.zeros(len(X), dtype=[("flag", "i1"), ("x", "f8", (2,))])
    records["x"] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    for values in (
        np.asfortranarray(X),
        wide[:, 1::2],
        tall[::2],
        X[::-1][::-1],
        records["x"],
        X.astype(">f8"),
        frozen,
        X.tolist(),
        X.astype(object),
        np.ma.masked_array(X),
        X.astype(np.longdouble),
    ):
        assert np.array_equal(flow.transform(values), expected)
    assert np.array_equal(flow.transform(X[::-1]), expected[::-1])
    fitted = CharacteristicFlow(**QUICK).fit(np.asfortranarray(X), np.ascontiguousarray(data[1]))
    assert np.array_equal(fitted.transform(X), expected)


def test_the_points_are_not_changed(data):
    X, Y = (side.copy() for side in data)
    flow = CharacteristicFlow(**QUICK).fit(X, Y)
    flow.transform(X)
    flow.certificate(X, Y)
    assert np.array_equal(X, data[0]) and np.array_equal(Y, data[1])


def test_precision_is_kept(flow, data):
    X, Y = data
    single = X.astype(np.float32)
    assert flow.transform(X).dtype == np.float64
    for result in (flow.transform(single), flow.inverse_transform(single), flow.interpolate(single, 0.5)):
        assert result.dtype == np.float32
    assert np.array_equal(flow.transform(single), flow.transform(single.astype(float)).astype(np.float32))
    assert flow.transform(X.astype(np.float16)).dtype == np.float64
    fitted = CharacteristicFlow(**QUICK).fit(single, Y.astype(np.float32))
    assert np.allclose(fitted.transform(X), flow.transform(X), atol=1e-2)


def test_integers_and_booleans_are_numbers(flow):
    ints = np.arange(20).reshape(10, 2) % 5
    assert np.array_equal(flow.transform(ints), flow.transform(ints.astype(float)))
    assert np.array_equal(flow.transform(ints.astype("u1")), flow.transform(ints.astype(float)))
    assert np.array_equal(flow.transform(ints > 2), flow.transform((ints > 2).astype(float)))


def test_no_points_give_no_points(flow):
    assert flow.transform(np.zeros((0, 2))).shape == (0, 2)
    assert flow.potential(np.zeros((0, 2))).shape == (0,)


def test_pandas_frames(data):
    pandas = pytest.importorskip("pandas")
    X, Y = data
    x = pandas.DataFrame(X, columns=["a", "b"], index=np.arange(len(X)) + 100)
    y = pandas.DataFrame(Y[:, ::-1], columns=["b", "a"])
    flow = CharacteristicFlow(**QUICK).fit(x, y)
    # Columns are matched by name, in the fit and after.
    assert np.array_equal(flow.transform(X), CharacteristicFlow(**QUICK).fit(X, Y).transform(X))
    assert list(flow.feature_names_in_) == list(flow.get_feature_names_out()) == ["a", "b"]
    out = flow.transform(x)
    assert type(out) is pandas.DataFrame
    assert list(out.columns) == ["a", "b"] and out.index.equals(x.index)
    assert np.array_equal(out.to_numpy(), flow.transform(X))
    back = flow.inverse_transform(y)
    assert np.array_equal(back[["a", "b"]].to_numpy(), flow.inverse_transform(Y))
    assert flow.transform(x.astype("float32")).dtypes.eq("float32").all()
    # Judged and drawn, too, the columns are those of the fit.
    turned = x[["b", "a"]], y
    assert flow.certificate(*turned) == flow.certificate(x, y[["a", "b"]])
    assert flow.evaluate(*turned) == flow.evaluate(X, Y)
    if pytest.importorskip("matplotlib"):
        import matplotlib.pyplot as plt

        figure = flow.plot(*turned)
        assert np.allclose(figure.axes[1].collections[-1].get_offsets(), flow.transform(X))
        plt.close(figure)
    with pytest.raises(charflow.ProblemError, match="Not known: `q`"):
        flow.certificate(x.rename(columns={"b": "q"}), y)
    kinds = pandas.Series(np.where(X[:, 0] > 0, "p", "n"), dtype="category")
    labelled = CharacteristicFlow(**QUICK).fit(x, y, x_labels=kinds, y_labels=pandas.Series(np.where(Y[:, 0] > 4, "p", "n")))
    assert labelled.class_names_ == ["n", "p"]
    # Names that are numbers are names, and come back as they were.
    numbered = pandas.DataFrame(X, columns=[10, 20]), pandas.DataFrame(Y[:, ::-1], columns=[20, 10])
    by_number = CharacteristicFlow(**QUICK).fit(*numbered)
    assert np.array_equal(by_number.transform(X), flow.transform(X))
    assert list(by_number.transform(numbered[0]).columns) == [10, 20]
    with pytest.raises(charflow.ProblemError, match="names of 2 levels"):
        flow.fit(x.set_axis(pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)]), axis=1), y)
    # A frame whose columns are only numbered has no names.
    plain = CharacteristicFlow(**QUICK).fit(pandas.DataFrame(X), pandas.DataFrame(Y))
    assert not hasattr(plain, "feature_names_in_")
    with pytest.raises(charflow.ProblemError, match="Missing: `b`. Not known: `c`"):
        flow.transform(x.rename(columns={"b": "c"}))
    with pytest.raises(charflow.ProblemError, match="column `kind` holds .* values; coordinates are numbers"):
        flow.fit(x.assign(kind=kinds.set_axis(x.index)), y)
    mixed = pandas.Series([1.0, "p"] * (len(x) // 2), dtype=object, index=x.index)
    with pytest.raises(charflow.ProblemError, match="row 2, column `kind`: expected a number, found 'p'"):
        flow.fit(x.assign(kind=mixed), y)
    with pytest.raises(charflow.ProblemError, match="row 1, column `a`: the value is NaN"):
        flow.fit(x.assign(a=x["a"].where(x.index != 100)), y)


def test_polars_frames(data):
    polars = pytest.importorskip("polars")
    X, Y = data
    x = polars.DataFrame(X, schema=["a", "b"])
    flow = CharacteristicFlow(**QUICK).fit(x, polars.DataFrame(Y, schema=["a", "b"]))
    out = flow.transform(x)
    assert isinstance(out, polars.DataFrame) and out.columns == ["a", "b"]
    assert np.array_equal(out.to_numpy(), flow.transform(X))
    kinds = polars.Series(["p" if v > 0 else "n" for v in X[:, 0]])
    others = polars.Series(["p" if v > 4 else "n" for v in Y[:, 0]])
    assert flow.fit(x, Y, x_labels=kinds, y_labels=others).class_names_ == ["n", "p"]
    with pytest.raises(charflow.ProblemError, match="collect"):
        flow.transform(x.lazy())
    with pytest.raises(charflow.ProblemError, match="column `kind` holds String"):
        flow.fit(x.with_columns(kind=kinds), Y)


def test_torch_tensors(flow, data):
    torch = pytest.importorskip("torch")
    x = torch.tensor(data[0])
    out = flow.transform(x)
    assert isinstance(out, torch.Tensor) and out.dtype == torch.float64
    assert np.array_equal(out.numpy(), flow.transform(data[0]))
    assert flow.transform(x.float()).dtype == torch.float32
    with pytest.raises(charflow.ProblemError, match="detach"):
        flow.transform(x.requires_grad_())


def test_something_with_only_an_array_protocol(flow, data):
    class Protocol:
        def __array__(self, dtype=None, copy=None):
            return data[0] if dtype is None else data[0].astype(dtype)

    assert np.array_equal(flow.transform(Protocol()), flow.transform(data[0]))


def test_one_dimension_and_many():
    for d in (1, 40):
        X, Y = clouds(300, 300, d)
        flow = CharacteristicFlow(**QUICK).fit(X, Y)
        assert flow.transform(X).shape == X.shape and np.isfinite(flow.transform(X)).all()


def test_far_from_zero_nothing_is_lost(data):
    X, Y = data
    near = CharacteristicFlow(**QUICK).fit(X, Y)
    far = CharacteristicFlow(**QUICK).fit(X + 1e6, Y + 1e6)
    assert np.allclose(far.transform(X + 1e6) - 1e6, near.transform(X), atol=1e-3)
