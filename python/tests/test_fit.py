"""What a user gets: the lines of the README, and what each of them promises."""

import copy
import pickle

import numpy as np
import pytest
from conftest import QUICK, clouds

import charflow
from charflow import CharacteristicFlow


def test_the_lines_of_the_readme(data, tmp_path):
    X, Y = data
    flow = CharacteristicFlow(cost="quadratic", effort="quick", seed=0, steps=300, progress=False)
    assert flow.fit(X, Y) is flow
    Z = flow.transform(X)
    assert Z.shape == X.shape and flow.inverse_transform(Y).shape == Y.shape
    assert "confidence" in str(flow.certificate(X, Y))
    flow.save(tmp_path / "run")
    again = CharacteristicFlow.load(tmp_path / "run")
    assert np.array_equal(again.transform(X), Z)


def test_it_moves_the_points_to_the_target():
    X, Y = clouds(2000, 2000)
    flow = CharacteristicFlow(steps=1500, seed=0, progress=False).fit(X, Y)
    rows = flow.evaluate(*clouds(2000, 2000, seed=9)).rows
    ours, linear = (rows[name]["forward"]["energy_distance"] for name in ("charflow", "linear"))
    assert ours < 0.2 * linear and ours < 0.02
    assert flow.certificate_.share_upper < 0.05
    assert flow.transport_cost_ == flow.certificate_.transport_cost
    there, back = flow.transform(X), flow.inverse_transform(flow.transform(X))
    assert np.mean((back - X) ** 2) < 0.01 * np.mean((there - X) ** 2)


def test_learned_attributes_are_those_of_the_report(flow):
    assert flow.outcome_ == flow.report_["solve"]["outcome"] == "step_limit"
    assert flow.report_["command"] == repr(flow) + ".fit(X, Y)"
    assert flow.report_["evaluation"]["certificate"]["sentence"] == flow.certificate_.sentence
    assert flow.certificate_ == flow.evaluation_.certificate
    assert flow.cost_ == "quadratic" and flow.n_features_in_ == 2
    assert not hasattr(flow, "feature_names_in_") and flow.class_names_ == []
    assert flow.config_["steps"] == 40 and flow.config_["network"]["hidden"] == [16, 16]
    lengths = {len(column) for column in flow.history_.values()}
    assert len(lengths) == 1 and lengths.pop() > 1
    assert flow.history_["step"][-1] == 40
    assert np.isfinite(flow.history_["loss"]).all()


def test_times_in_between_are_on_straight_lines(flow, data):
    X, Y = data
    T, S = flow.transform(X), flow.inverse_transform(Y)
    assert np.array_equal(flow.interpolate(X, t=0.0), X)
    assert np.array_equal(flow.interpolate(X, t=1.0), T)
    for t in (0.25, 0.5):
        assert np.allclose(flow.interpolate(X, t=t), (1 - t) * X + t * T, atol=1e-6)
        assert np.allclose(flow.interpolate(Y, t=t, backward=True), (1 - t) * S + t * Y, atol=1e-6)
    assert np.array_equal(flow.interpolate(Y, t=1.0, backward=True), Y)
    several = flow.interpolate(X, t=[0.0, 0.5, 1.0])
    assert several.shape == (3, *X.shape)
    assert np.array_equal(several[1], flow.interpolate(X, t=0.5))


def test_potential_gradient_and_kantorovich_potentials(data):
    X, Y = clouds(1000, 1000)
    flow = CharacteristicFlow(steps=600, seed=1, progress=False).fit(X, Y)
    T = flow.transform(X)
    # For the quadratic cost the gradient is the displacement.
    assert np.allclose(flow.gradient(X, 0.0), T - X, atol=1e-5)
    assert np.allclose(flow.gradient(Y, 1.0), Y - flow.inverse_transform(Y), atol=1e-5)
    h, x = 1e-2, X[:50]
    for k in range(2):
        step = h * np.eye(2)[k]
        slope = (flow.potential(x + step, 0.3) - flow.potential(x - step, 0.3)) / (2 * h)
        assert np.allclose(flow.gradient(x, 0.3)[:, k], slope, atol=5e-3)
    assert flow.potential(X).shape == (1000,)
    # phi(x) + psi(y) is at most the cost, and equal to it where y is the image of x.
    phi, psi = flow.kantorovich(X, Y)
    costs = 0.5 * ((Y[None] - X[:, None]) ** 2).sum(-1)
    spread = costs.std()
    assert (phi[:, None] + psi[None] - costs).max() < 0.02 * spread
    phi, psi = flow.kantorovich(X, T)
    assert np.abs(phi + psi - 0.5 * ((T - X) ** 2).sum(-1)).max() < 0.02 * spread


@pytest.mark.parametrize(
    ("cost", "kept"),
    [
        ("norm-power:1.5", "norm-power:1.5"),
        (("power", 3), "power:3"),
        (("elastic", 0.5), "elastic:0.5"),
        (("relativistic", 20.0), "relativistic:20"),
        (("mahalanobis", np.array([[2.0, 0.5], [0.5, 1.0]])), "mahalanobis:[[2,0.5],[0.5,1]]"),
        (("mahalanobis", [[2, 0.5], [0.5, 1]]), "mahalanobis:[[2,0.5],[0.5,1]]"),
    ],
)
def test_costs_by_name_and_parameter(data, cost, kept):
    X, Y = data
    flow = CharacteristicFlow(cost=cost, **QUICK).fit(X, Y)
    assert flow.cost_ == kept
    assert flow.get_params()["cost"] is cost
    assert np.isfinite(flow.transform(X)).all() and flow.transport_cost_ > 0


def test_a_matrix_in_a_file(data, tmp_path):
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.save(tmp_path / "A.npy", matrix)
    by_file = CharacteristicFlow(cost=("mahalanobis", tmp_path / "A.npy"), **QUICK).fit(*data)
    by_value = CharacteristicFlow(cost=("mahalanobis", matrix), **QUICK).fit(*data)
    assert by_file.cost_ == by_value.cost_
    assert np.array_equal(by_file.transform(data[0]), by_value.transform(data[0]))


def test_costs_and_presets_are_listed():
    assert {name.partition(":")[0] for name, _ in charflow.costs()} >= {"quadratic", "elastic"}
    assert "auto" in dict(charflow.presets()) and charflow.efforts() == ["quick", "normal", "best"]
    assert charflow.isa() in ("avx512", "avx2", "portable")


def test_classes_go_to_their_own():
    rng = np.random.default_rng(0)
    # Two clouds that would go to the nearer place each, and are asked to cross over.
    X = np.concatenate([rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) + [6.0, 0.0]])
    Y = X + [0.0, 4.0]
    kinds = np.repeat(["left", "right"], 400)
    swapped = np.repeat(["right", "left"], 400)
    flow = CharacteristicFlow(steps=1500, seed=0, progress=False)
    flow.fit(X, Y, x_labels=kinds, y_labels=swapped)
    assert flow.class_names_ == ["left", "right"]
    Z = flow.transform(X)
    assert (Z[:400, 0] > 3).mean() > 0.9 and (Z[400:, 0] < 3).mean() > 0.9
    judged = flow.evaluate(X, Y, x_labels=kinds, y_labels=swapped)
    assert judged.to_dict()["by_class"]["classes"][0]["class"] == "left"
    assert judged.to_dict()["class_accuracy_forward"] > 0.9
    # Judged by the worst class: labels that are turned round are told, and without labels nothing is said of classes.
    right = flow.certificate(X, Y, x_labels=kinds, y_labels=swapped)
    assert right.sentence == judged.certificate.sentence and right.worst_class[0] in ("left", "right")
    wrong = flow.certificate(X, Y, x_labels=kinds, y_labels=kinds)
    assert wrong.verdict == "bad" and wrong.p_value[0] < 0.025 and "its own" in wrong.sentence
    assert flow.certificate(X, Y).worst_class == (None, None)


def test_the_certificate_has_its_bounds(flow, data):
    X, Y = data
    said = flow.certificate(X, Y)
    fields = said.to_dict()
    assert fields["format"] == 2
    assert said.share_upper is not None and said.backward_share_upper is not None
    assert said.share_lower is None or 0 < said.share_lower <= said.share_upper
    assert said.searches_missed_upper is not None and 0 <= said.searches_missed_upper <= 1
    assert said.uvp_upper is None or said.uvp_upper >= 0
    assert all(p is not None and 0 < p <= 1 for p in said.p_value)
    assert all(w is None or w > 0 for w in said.w2_lower)
    assert len(fields["path"]["return_error"]) == len(fields["path"]["times"]) == 4
    # A shifted target is told, and a distance of at least nearly the shift is proved.
    away = flow.certificate(X, np.asarray(flow.transform(X)) + 3.0)
    assert away.verdict == "bad" and 3.0 < (away.w2_lower[0] or 0.0) <= 3.0 * 2**0.5 + 1e-6


def test_labels_of_any_kind_are_the_same_classes(data):
    X, Y = data
    base = np.arange(len(X)) % 3
    other = np.arange(len(Y)) % 3
    fits = []
    for a, b in (
        (base, other),
        (base.astype(float), [str(k) for k in other]),
        (base.astype(str), other[:, None]),
        (base.astype(object), list(other)),
    ):
        flow = CharacteristicFlow(**QUICK).fit(X, Y, x_labels=a, y_labels=b)
        assert flow.class_names_ == ["0", "1", "2"]
        fits.append(flow.transform(X))
    assert all(np.array_equal(fits[0], one) for one in fits)


def test_unknown_classes_by_name_none_and_nan(data, tmp_path):
    X, Y = data
    kinds = np.array(["a", "b"], dtype=object)[np.arange(len(X)) % 2]
    named = np.array(["a", "b", "?"], dtype=object)[np.arange(len(Y)) % 3]
    fits = []
    for labels, word in ((named, "?"), (np.where(named == "?", None, named), None)):
        flow = CharacteristicFlow(unlabelled=word, **QUICK)
        fits.append(flow.fit(X, Y, x_labels=kinds, y_labels=labels).transform(X))
    numbers = np.where(named == "?", np.nan, np.where(named == "a", 1.0, 2.0).astype(float))
    digits = np.where(kinds == "a", 1, 2)
    flow = CharacteristicFlow(**QUICK).fit(X, Y, x_labels=digits, y_labels=numbers)
    assert flow.class_names_ == ["1", "2"]
    fits.append(flow.transform(X))
    assert all(np.array_equal(fits[0], one) for one in fits)
    # A list with text and NaN, which numpy would make text of; and the marker comes back from a run.
    listed = [None if k % 3 == 1 else float("nan") if k % 3 == 2 else "a" for k in range(len(Y))]
    listed[1] = listed[4] = b"b"
    flow = CharacteristicFlow(unlabelled="?", **QUICK)
    flow.fit(X, Y, x_labels=kinds, y_labels=["b" if k % 3 else "a" for k in range(len(Y))])
    assert flow.class_names_ == ["a", "b"]
    assert CharacteristicFlow(**QUICK).fit(X, Y, x_labels=kinds, y_labels=listed).class_names_ == ["a", "b"]
    flow = CharacteristicFlow(unlabelled="?", **QUICK).fit(X, Y, x_labels=kinds, y_labels=named)
    flow.save(tmp_path / "run")
    again = CharacteristicFlow.load(tmp_path / "run")
    assert again.unlabelled == "?"
    again.resume(X, Y, x_labels=kinds, y_labels=named, steps=50)


def test_labels_with_missing_values_of_pandas(data):
    pandas = pytest.importorskip("pandas")
    X, Y = data
    kinds = pandas.Series(["a", "b", pandas.NA] * 100, dtype="string")
    others = pandas.Series(["a", "b"] * 130, dtype="category")
    flow = CharacteristicFlow(**QUICK).fit(X, Y, x_labels=kinds, y_labels=others)
    assert flow.class_names_ == ["a", "b"]
    mixed = ["a", 3, 3.0] * 100
    flow.fit(X, Y, x_labels=mixed, y_labels=["a", "3"] * 130)
    assert flow.class_names_ == ["3", "a"]


def test_weights_count(data):
    X, Y = data
    heavy = np.where(Y[:, 0] > np.median(Y[:, 0]), 1.0, 0.0)
    flow = CharacteristicFlow(steps=300, progress=False, seed=0)
    plain = flow.fit(X, Y).transform(X)
    weighted = flow.fit(X, Y, y_weights=heavy).transform(X)
    assert weighted[:, 0].mean() > plain[:, 0].mean() + 0.5


def test_the_same_seed_is_the_same_model_on_any_number_of_threads(data):
    X, Y = data
    first, second, other = (
        CharacteristicFlow(**{**QUICK, "threads": n, "seed": s}).fit(X, Y)
        for n, s in ((1, 3), (2, 3), (1, 4))
    )
    assert np.array_equal(first.transform(X), second.transform(X))
    assert not np.array_equal(first.transform(X), other.transform(X))


def test_resume_takes_more_steps_on_the_same_points_only(data):
    X, Y = data
    flow = CharacteristicFlow(**QUICK).fit(X, Y)
    flow.resume(X, Y, steps=60)
    # The argument of the constructor stays as it was given.
    assert flow.history_["step"][-1] == 60 and flow.steps == 40
    with pytest.warns(charflow.FitWarning, match="nothing left"):
        flow.resume(X, Y)
    with pytest.raises(charflow.ProblemError, match="not the source that this fit was begun with"):
        flow.resume(X + 1.0, Y, steps=80)
    with pytest.raises(charflow.ProblemError, match="300 rows, then|rows, then 300"):
        flow.resume(X[:-1], Y, steps=80)
    with pytest.raises(charflow.ProblemError, match="has done 60 steps already"):
        flow.resume(X, Y, steps=10)
    with pytest.raises(charflow.ProblemError, match="begun with seed = 3, now it is 4"):
        flow.set_params(seed=4).resume(X, Y, steps=80)
    with pytest.raises(charflow.ProblemError, match="begun with effort = normal, now it is quick"):
        flow.set_params(seed=3, effort="quick").resume(X, Y, steps=80)
    flow.set_params(effort="normal", steps=70).resume(X, Y)
    assert flow.history_["step"][-1] == 70


def test_copies_and_pickles_are_the_same_map(flow, data):
    X, Y = data
    for again in (pickle.loads(pickle.dumps(flow)), copy.deepcopy(flow)):
        assert np.array_equal(again.transform(X), flow.transform(X))
        assert again.report_ == flow.report_ and str(again.certificate_) == str(flow.certificate_)
        assert again.get_params() == flow.get_params()
        again.resume(X, Y, steps=50)
        assert again.history_["step"][-1] == 50
    assert flow.history_["step"][-1] == 40
    unfitted = pickle.loads(pickle.dumps(CharacteristicFlow(seed=7)))
    assert unfitted.seed == 7 and not unfitted.__sklearn_is_fitted__()


def test_a_saved_run_is_whole(flow, data, tmp_path):
    X, Y = data
    place = tmp_path / "run"
    flow.save(place)
    names = sorted(p.name for p in place.iterdir())
    assert names == sorted(
        ["checkpoint.safetensors", "config.toml", "data.toml", "history.csv", "model.safetensors", "report.json"]
    )
    again = CharacteristicFlow.load(place)
    assert again.report_["solve"] == flow.report_["solve"]
    assert again.certificate_ == flow.certificate_ and again.config_ == flow.config_
    for name, column in flow.history_.items():
        assert np.array_equal(again.history_[name], column, equal_nan=True), name
    # Its arguments are those of the fit, no more than differ from the usual: fitted again, it is the same model.
    assert again.settings == {"network.hidden": [16, 16]} and again.steps == 40
    assert str(again.certificate_).startswith(flow.certificate_.sentence)
    assert "energy distance" in str(again.certificate_)
    assert np.array_equal(again.fit(X, Y).transform(X), flow.transform(X))
    again = CharacteristicFlow.load(place).resume(X, Y, steps=50)
    twin = copy.deepcopy(flow).resume(X, Y, steps=50)
    assert np.array_equal(again.transform(X), twin.transform(X))
    again.save(place, overwrite=True)
    assert CharacteristicFlow.load(place).history_["step"][-1] == 50
    # The model alone.
    flow.save(tmp_path / "map.safetensors")
    alone = CharacteristicFlow.load(tmp_path / "map.safetensors")
    assert np.array_equal(alone.transform(X), flow.transform(X)) and alone.report_ is None


def test_points_the_map_was_fitted_to_are_known(flow, data):
    X, Y = data
    assert flow.certificate(X, Y).to_dict()["origin"] == "fitted"
    assert flow.certificate(X + 1e-3, Y + 1e-3).to_dict()["origin"] == "given"
    # Whatever goes with them.
    kinds, others = np.arange(len(X)) % 2, np.arange(len(Y)) % 2
    labelled = CharacteristicFlow(**QUICK).fit(X, Y, x_labels=kinds, y_labels=others)
    assert labelled.certificate(X, Y).to_dict()["origin"] == "fitted"
    weighted = CharacteristicFlow(**QUICK).fit(X, Y, x_weights=1.0 + kinds)
    assert weighted.certificate(X, Y).to_dict()["origin"] == "fitted"
    judged = flow.evaluate(X, Y, x_labels=kinds, y_labels=others)
    assert judged.certificate.to_dict()["origin"] == "fitted"


def test_points_far_out_are_warned_of(flow, data):
    far = data[0].copy()
    far[0] = 500.0
    with pytest.warns(charflow.ExtrapolationWarning, match="1 of 300 rows"):
        flow.transform(far)
