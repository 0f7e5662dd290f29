"""The map as people use it: an estimator in the manner of scikit-learn, without needing it."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

import numpy as np

from . import _arrays
from ._arrays import Array, Given
from ._charflow import Model, Points
from ._errors import (
    ExtrapolationWarning,
    FitWarning,
    ProblemError,
    SettingError,
    raise_not_fitted,
)
from ._progress import Progress
from ._results import Certificate, Evaluation

_Self = TypeVar("_Self", bound="CharacteristicFlow")

#: Settings that have an argument of their own.
_NAMED = ("preset", "effort", "cost", "steps", "time_limit", "seed", "threads")


class CharacteristicFlow:
    """The optimal transport map between two sets of points, both ways, from one neural potential.

    ``T = argmin { E l(T(x) - x) : T(X) is distributed as Y }`` and its inverse, by the characteristics ``x + t V(grad u(x, 0))`` of the Hamilton-Jacobi equation
    (Park, Liu, Zhou, Osher, ICLR 2026, equations 5 to 8). The same data and arguments give the same model as the command ``charflow fit``, to the last bit.

    Parameters
    ----------
    cost : str or (str, parameter), default "quadratic"
        The price ``l(v)`` of moving a point by ``v``: "quadratic", "mahalanobis", "norm-power:1.5", "power:3", "elastic:0.5", "relativistic:2.0"; :func:`charflow.costs` lists them.
        The parameter may be given beside the name, ``("elastic", 0.5)``, a matrix as an array, ``("mahalanobis", A)``, or as a file, "mahalanobis:A.npy". In the units of the points.
    effort : {"quick", "normal", "best"}, default "normal"
        How much work the presets "auto" and "color" do. Without effect on a fit with labels.
    preset : str, default "auto"
        The settings to begin from; :func:`charflow.presets` lists them.
    seed : int, default 0
        Of everything random.
    steps : int, optional
        Optimisation steps; by default as the preset says.
    time_limit : float, optional
        Seconds after which the fit stops with what there is. Such a fit is not repeatable to the bit.
    threads : int, default 0
        Threads, 0 for all cores. Results do not depend on it.
    unlabelled : str, optional
        What stands in the labels where the class is not known; None and NaN always do.
    settings : dict, optional
        Any other setting by its name in ``config.toml``, dotted or nested: ``{"optimiser.rate": 1e-3}``, ``{"network": {"hidden": [64, 64]}}``.
    progress : bool, optional
        Whether a bar is shown while a fit runs; by default in terminals and notebooks.

    Attributes
    ----------
    report_ : dict
        What ``report.json`` holds.
    history_ : dict of arrays
        Losses over steps, by name; ``pandas.DataFrame(flow.history_)`` is the table.
    certificate_ : Certificate or None
        On points held out of the fit (with very few points: on those of the fit, which it says). None where the fit was interrupted.
    evaluation_ : Evaluation or None
        The same beside the linear map and other baselines.
    cost_ : str
        The cost as the model keeps it.
    transport_cost_ : float or None
        ``E l(T(x) - x)`` on the points of the certificate.
    config_ : dict
        Every setting, defaults written out.
    outcome_ : str
        How the fit ended: "step_limit", "converged", "time_limit", "interrupted", "diverged".
    class_names_ : list of str
        The classes, empty without labels.
    n_features_in_ : int
        The dimension of the points.
    feature_names_in_ : array of str
        Names of the columns; only where frames were given.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(500, 2)), rng.normal(size=(400, 2)) + [3.0, 0.0]
    >>> flow = CharacteristicFlow(steps=200, seed=1).fit(X, Y)
    >>> bool(np.linalg.norm((flow.transform(X) - X).mean(axis=0) - [3, 0]) < 0.2)
    True
    """

    def __init__(
        self,
        *,
        cost: Union[str, Tuple[str, Any]] = "quadratic",
        effort: str = "normal",
        preset: str = "auto",
        seed: int = 0,
        steps: Optional[int] = None,
        time_limit: Optional[float] = None,
        threads: int = 0,
        unlabelled: Optional[str] = None,
        settings: Optional[Mapping[str, Any]] = None,
        progress: Optional[bool] = None,
    ) -> None:
        self.cost = cost
        self.effort = effort
        self.preset = preset
        self.seed = seed
        self.steps = steps
        self.time_limit = time_limit
        self.threads = threads
        self.unlabelled = unlabelled
        self.settings = settings
        self.progress = progress

    # Fitting.

    def fit(
        self: _Self,
        X: Any,
        Y: Any,
        *,
        x_labels: Any = None,
        y_labels: Any = None,
        x_weights: Any = None,
        y_weights: Any = None,
    ) -> _Self:
        """Fits the map from `X`, of shape (n, d), to `Y`, of shape (m, d).

        Arrays, lists of rows, pandas and polars frames, CPU tensors; there is no pairing between the rows, and n and m may differ. With labels every class of `X` goes to the class of
        that name in `Y`. Weights are one number a point, at least 0.

        An interrupt (Ctrl-C) stops the fit after its step: the model so far is kept, a :class:`FitWarning` says so, and :meth:`resume` goes on. One that comes after the last
        step ends the judging of the map, which is then without a certificate.

        Raises
        ------
        ProblemError, SettingError
            The points or a setting make no sense; with the place and what to do.
        NumericalError
            The loss is not finite from the start.
        """
        asked = self._asked()
        source, target, names = self._sides(X, Y, x_labels, y_labels, x_weights, y_weights)
        call = f"{self!r}.fit(X, Y)"
        with Progress(self.progress) as progress:
            model, late = Model.fit(source, target, asked, call, progress)
        self._adopt(model, names)
        self._warn_if_short(late)
        return self

    def resume(
        self: _Self,
        X: Any,
        Y: Any,
        *,
        x_labels: Any = None,
        y_labels: Any = None,
        x_weights: Any = None,
        y_weights: Any = None,
        steps: Optional[int] = None,
        time_limit: Optional[float] = None,
    ) -> _Self:
        """Goes on with a fit that was interrupted, ended by its time limit, or is to take more `steps`, on the same points.

        `steps` and `time_limit` are of the whole fit, what was done before included. A fit that was interrupted and resumed is the one that was not, to the last bit.

        Raises
        ------
        ProblemError
            The points, or the other arguments, are not those that the fit was begun with, or there is nothing to go on from.
        """
        before = self._model()
        source, target, names = self._sides(X, Y, x_labels, y_labels, x_weights, y_weights)
        asked = self._asked()
        for name, value, check in (("steps", steps, _whole), ("time_limit", time_limit, _real)):
            # What an earlier resume asked for is more than the argument of the constructor.
            if value is not None:
                asked[name] = check(value, name)
            elif name in asked and asked[name] <= self.config_[name]:
                del asked[name]
        call = f"{self!r}.resume(X, Y)"
        with Progress(self.progress) as progress:
            further = before.resume(source, target, asked, call, progress)
        if further is None:
            warnings.warn(
                "this fit is done: there is nothing left to do. Ask for more by resume(X, Y, steps=...), or time_limit=...",
                FitWarning,
                stacklevel=2,
            )
            return self
        model, late = further
        self._adopt(model, names)
        self._warn_if_short(late)
        return self

    def fit_transform(self, X: Any, Y: Any, **others: Any) -> Any:
        """``fit(X, Y, ...)`` and then ``transform(X)``."""
        return self.fit(X, Y, **others).transform(X)

    # The map.

    def transform(self, X: Any) -> Any:
        """The images ``T(x)`` of points of the source, in the kind and precision of `X`: arrays, frames with their names, tensors."""
        return self.interpolate(X, t=1.0)

    def inverse_transform(self, Y: Any) -> Any:
        """The images ``S(y)`` of points of the target."""
        return self.interpolate(Y, t=0.0, backward=True)

    def interpolate(self, X: Any, t: Any, *, backward: bool = False) -> Any:
        """The points at time `t` on their way: ``x + t V(grad u(x, 0))``, the displacement interpolation.

        Time 0 is the source, 1 the target. With `backward` the points are those of the target, ``y - (1 - t) V(grad u(y, 1))``. Several times give an array of
        shape (times, n, d).
        """
        model = self._model()
        given = self._points(X, "Y" if backward else "X")
        move = model.backward_at if backward else model.forward_at
        threads = self._threads()
        if np.ndim(t) == 0:
            values, far = move(given.values, _real(t, "t"), threads)
            moved = self._out(given, values)
        else:
            times = [_real(one, "t") for one in np.ravel(t)]
            if not times:
                raise SettingError("t is empty; expected a time, or some, from 0 to 1.")
            steps = [move(given.values, one, threads) for one in times]
            moved, far = np.stack([values for values, _ in steps]), steps[0][1]
        if far > 0:
            warnings.warn(
                f"{far} of {len(given.values)} rows lie far outside the data the model was fitted on; their images are extrapolation",
                ExtrapolationWarning,
                stacklevel=2,
            )
        return moved

    def potential(self, X: Any, t: float = 0.0) -> Array:
        """The potential ``u(x, t)``, of shape (n,), in the units of the cost; its constant is arbitrary."""
        return self._potential(X, t, "X")

    def _potential(self, X: Any, t: float, name: str) -> Array:
        model = self._model()
        given = self._points(X, name)
        values = model.potential(given.values, _real(t, "t"), self._threads())
        flat: Array = values[:, 0]
        return flat

    def gradient(self, X: Any, t: float = 0.0) -> Any:
        """The gradient ``grad u(x, t)`` of the potential, of shape (n, d); its velocity ``V`` at time 0 is the displacement ``T(x) - x``."""
        model = self._model()
        given = self._points(X, "X")
        values = model.gradient(given.values, _real(t, "t"), self._threads())
        return given.again(values, given.columns)

    def kantorovich(self, X: Any, Y: Any) -> Tuple[Array, Array]:
        """The Kantorovich potentials ``phi = -u(., 0)`` on points of the source and ``psi = u(., 1)`` on points of the target.

        At the optimum ``phi(x) + psi(y) <= l(y - x)`` for all pairs, with equality for ``y = T(x)``.
        """
        return -self._potential(X, 0.0, "X"), self._potential(Y, 1.0, "Y")

    # How good it is.

    def certificate(
        self,
        X: Any,
        Y: Any,
        *,
        x_labels: Any = None,
        y_labels: Any = None,
        x_weights: Any = None,
        y_weights: Any = None,
    ) -> Certificate:
        """How far above the optimal cost the map is, and whether it reaches the target, on points it should not have been fitted to.

        A model fitted with labels is judged class by class, by the worst class, if the points have labels too.
        """
        model = self._model()
        source, target = self._judged(X, Y, x_labels, y_labels, x_weights, y_weights)
        data, text = model.certify(source, target, _whole(self.seed, "seed"), self._threads())
        return Certificate(json.loads(data), text)

    def evaluate(
        self,
        X: Any,
        Y: Any,
        *,
        x_labels: Any = None,
        y_labels: Any = None,
        x_weights: Any = None,
        y_weights: Any = None,
    ) -> Evaluation:
        """The map beside the best linear one, the constant one and the identity, with the certificate. Labels give the energy distance of each class."""
        model = self._model()
        source, target = self._judged(X, Y, x_labels, y_labels, x_weights, y_weights)
        data, (text, certificate) = model.evaluate(
            source, target, _whole(self.seed, "seed"), self._threads()
        )
        return Evaluation(json.loads(data), text, certificate)

    def plot(self, X: Any, Y: Any, **options: Any) -> Any:
        """A figure of source and target, where the points arrive both ways, and their ways; see :func:`charflow.plot.transport`. Needs matplotlib (``charflow[plot]``)."""
        from . import plot

        return plot.transport(self, X, Y, **options)

    # Files.

    def save(self, path: Union[str, "os.PathLike[str]"], *, overwrite: bool = False) -> None:
        """Writes a run directory, the same as that of ``charflow fit``: ``charflow transport``, ``evaluate`` and ``plot`` take it. A path that ends in ``.safetensors`` gets
        the model file alone, which is enough to transport.

        Raises
        ------
        FileError
            Something is at the path and `overwrite` is not set, or the system refuses.
        """
        self._model().save(os.fsdecode(path), overwrite)

    @classmethod
    def load(cls: Type[_Self], path: Union[str, "os.PathLike[str]"]) -> _Self:
        """The map of a run directory or a model file, whether Python or the command wrote it.

        Raises
        ------
        FileError
            There is no such run, or it is damaged, cut short or of a newer version.
        """
        model = Model.load(os.fsdecode(path))
        config = json.loads(model.config)
        named = {name: config.pop(name) for name in _NAMED}
        named["time_limit"] = named["time_limit"] or None
        settings = dict(_flat(config, ""))
        if model.usual_config is not None:
            usual = dict(_flat(json.loads(model.usual_config), ""))
            settings = {key: v for key, v in settings.items() if usual.get(key) != v}
            named["steps"] = None if named["steps"] == usual["steps"] else named["steps"]
        flow = cls(**named, settings=settings or None, unlabelled=model.unlabelled)
        flow._adopt(model, model.columns)
        return flow

    # In the manner of scikit-learn.

    @classmethod
    def _parameters(cls) -> List[str]:
        return sorted(
            name
            for name, p in inspect.signature(cls.__init__).parameters.items()
            if name != "self" and p.kind is not p.VAR_KEYWORD
        )

    def get_params(self, deep: bool = True) -> Dict[str, Any]:
        """The constructor's arguments, as they were given."""
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self: _Self, **params: Any) -> _Self:
        """Changes arguments of the constructor; what was fitted stays until the next fit."""
        known = self._parameters()
        for name in params:
            if name not in known:
                raise SettingError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}. Valid parameters are: {known}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def set_output(self: _Self, *, transform: Optional[str] = None) -> _Self:
        """What :meth:`transform` and its kin give: "pandas" or "polars" frames, or by "default" the kind of thing that goes in."""
        if transform not in (None, "default", "pandas", "polars"):
            raise SettingError(
                f"transform: expected 'default', 'pandas' or 'polars', found {transform!r}."
            )
        if transform is not None:
            self._output = transform
        return self

    def _out(self, given: Given, values: Array) -> Any:
        kind = vars(self).get("_output", "default")
        if kind == "default":
            return given.again(values, given.columns)
        names = list(self.get_feature_names_out())
        if kind == "pandas":
            import pandas

            return pandas.DataFrame(values, columns=names, index=given.index)
        import polars

        return polars.DataFrame(values, schema=names)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns that :meth:`transform` gives."""
        dim = self._model().dim
        names = getattr(self, "feature_names_in_", input_features)
        if names is None:
            names = [f"x{k + 1}" for k in range(dim)]
        if len(names) != dim:
            raise _width("input_features", len(names), type(self).__name__, dim)
        return np.asarray(names, dtype=object)

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        parts = []
        for name in self._parameters():
            value = getattr(self, name, None)
            default = defaults[name].default
            if value is not default and not (type(value) is type(default) and value == default):
                text = " ".join(repr(value).split())
                parts.append(f"{name}={text if len(text) <= 60 else text[:57] + '...'}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __sklearn_is_fitted__(self) -> bool:
        return "_fitted" in vars(self)

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn asks, so it is there.
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=True, one_d_labels=False, two_d_labels=True),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(),
        )

    # Inside.

    def _model(self) -> Model:
        model = vars(self).get("_fitted")
        if model is None:
            raise_not_fitted(type(self).__name__)
        assert isinstance(model, Model)
        return model

    def _asked(self) -> Dict[str, Any]:
        """The arguments as the native part takes them."""
        asked: Dict[str, Any] = {
            "unlabelled": self.unlabelled,
            "cost": _cost(self.cost),
            "effort": _word(self.effort, "effort"),
            "preset": _word(self.preset, "preset"),
            "seed": _whole(self.seed, "seed"),
            "threads": self._threads(),
        }
        if self.steps is not None:
            asked["steps"] = _whole(self.steps, "steps")
        if self.time_limit is not None:
            asked["time_limit"] = _real(self.time_limit, "time_limit")
        if self.settings is not None:
            if not isinstance(self.settings, Mapping):
                raise SettingError(
                    f"settings: expected a dictionary such as {{'optimiser.rate': 1e-3}}, found {self.settings!r}."
                )
            for key, value in _flat(self.settings, ""):
                if key in _NAMED:
                    raise SettingError(
                        f"settings: {key} has an argument of its own, {key}=...; leave it out here."
                    )
                asked[key] = _toml(value, key)
        return asked

    def _sides(
        self, X: Any, Y: Any, x_labels: Any, y_labels: Any, x_weights: Any, y_weights: Any
    ) -> Tuple[Points, Points, Optional[List[str]]]:
        """Both clouds of a fit as the library holds them, and the names of their columns; those of `Y` are put in the order of `X`."""
        x, y = _arrays.points(X, "X"), _arrays.points(Y, "Y")
        names = x.columns if x.columns is not None else y.columns
        values = _arrays.in_order(y, names, "Y", "X")
        source = self._side("X", x.values, names, x_labels, x_weights)
        return source, self._side("Y", values, names, y_labels, y_weights), names

    def _judged(
        self, X: Any, Y: Any, x_labels: Any, y_labels: Any, x_weights: Any, y_weights: Any
    ) -> Tuple[Points, Points]:
        """Both clouds that the fitted map is judged on, their columns in the order of the fit."""
        x, y = self._points(X, "X"), self._points(Y, "Y")
        names = self._model().columns
        source = self._side("X", x.values, names, x_labels, x_weights)
        return source, self._side("Y", y.values, names, y_labels, y_weights)

    def _side(
        self, name: str, values: Array, names: Optional[List[str]], labels: Any, weights: Any
    ) -> Points:
        side = name.lower()
        return Points(
            name,
            values,
            names,
            _arrays.labels(labels, f"{side}_labels", self.unlabelled),
            _arrays.weights(weights, f"{side}_weights"),
            self._threads(),
        )

    def _threads(self) -> int:
        return _whole(self.threads, "threads")

    def _points(self, value: Any, name: str) -> Given:
        """Points for the fitted map, a frame's columns in the order of the fit."""
        given = _arrays.points(value, name)
        model = self._model()
        width = given.values.shape[1]
        if width != model.dim and (given.columns is None or model.columns is None):
            raise _width(name, width, type(self).__name__, model.dim)
        values = _arrays.in_order(given, model.columns, name, "the points of the fit")
        columns = given.columns if given.columns is None else (model.columns or given.columns)
        return given._replace(values=values, columns=columns)

    def _adopt(self, model: Model, names: Optional[Sequence[str]]) -> None:
        """Takes over a fitted model with what is known of its fit."""
        report = None if model.report is None else json.loads(model.report)
        evaluation = None
        if report is not None and report.get("evaluation") is not None:
            texts = model.text or (None, None)
            evaluation = Evaluation(report["evaluation"], *texts)
        self._fitted = model
        self.report_ = report
        self.history_ = {**model.history, "step": model.history["step"].astype(int)}
        self.evaluation_ = evaluation
        self.certificate_ = None if evaluation is None else evaluation.certificate
        self.transport_cost_ = (
            None if self.certificate_ is None else self.certificate_.transport_cost
        )
        self.cost_ = model.cost
        self.config_ = json.loads(model.config)
        self.outcome_ = None if report is None else report["solve"]["outcome"]
        self.class_names_ = model.classes
        self.n_features_in_ = model.dim
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _warn_if_short(self, late: bool) -> None:
        """Says that a fit fell short; there is a map all the same."""
        if late:
            warnings.warn(
                "interrupted after the last step: the map is whole, and without a certificate. certificate(X, Y) gives one.",
                FitWarning,
                stacklevel=3,
            )
        solve = (self.report_ or {}).get("solve", {})
        steps, asked = solve.get("steps"), self.config_["steps"]
        if self.outcome_ == "interrupted":
            warnings.warn(
                f"interrupted after {steps} of {asked} steps. The model so far is kept; resume(X, Y) goes on.",
                FitWarning,
                stacklevel=3,
            )
        elif self.outcome_ == "diverged":
            smaller = self.config_["optimiser"]["rate"] / 10.0
            warnings.warn(
                f"the solve diverged after {steps} steps, {solve.get('divergences')} attempts with smaller rates included. The last good model is kept. "
                f"Fit again with a smaller rate: settings={{'optimiser.rate': {smaller:.1e}}}",
                FitWarning,
                stacklevel=3,
            )


def _width(name: str, width: int, kind: str, dim: int) -> ProblemError:
    return ProblemError(
        f"{name} has {width} features, but {kind} is expecting {dim} features as input."
    )


def _word(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise SettingError(f"{name}: expected a name, found {value!r}.")
    return value


def _whole(value: Any, name: str) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 0:
        raise SettingError(f"{name}: expected a whole number of at least 0, found {value!r}.")
    if value > 2**63 - 1:
        raise SettingError(f"{name}: expected at most {2**63 - 1}, found {value!r}.")
    return int(value)


def _real(value: Any, name: str) -> float:
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise SettingError(f"{name}: expected a number, found {value!r}.") from None


def _cost(cost: Any) -> str:
    """``("elastic", 0.5)`` as ``elastic:0.5``."""
    if isinstance(cost, str):
        return cost
    if isinstance(cost, (tuple, list)) and len(cost) == 2 and isinstance(cost[0], str):
        name, parameter = cost
        if isinstance(parameter, (str, os.PathLike)):
            return f"{name}:{os.fspath(parameter)}"
        try:
            numbers = np.asarray(parameter, dtype=float)
        except (TypeError, ValueError):
            numbers = np.array(np.nan)
        if not np.isfinite(numbers).all():
            raise SettingError(
                f"cost: expected a number, or a matrix of numbers, beside the name {name!r}, found {parameter!r}."
            )
        return f"{name}:{_toml(numbers.tolist(), 'cost')}"
    raise SettingError(
        f"cost: expected a name such as 'quadratic' or 'elastic:0.5', or a name with its parameter, ('elastic', 0.5), found {cost!r}."
    )


def _flat(settings: Mapping[str, Any], path: str) -> List[Tuple[str, Any]]:
    found = []
    for key, value in settings.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{name}.")
        else:
            found.append((name, value))
    return found


def _toml(value: Any, name: str) -> str:
    """A value as it stands in ``config.toml``."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        items = (json.dumps(v) if isinstance(v, str) else _toml(v, name) for v in value)
        return f"[{', '.join(items)}]"
    raise SettingError(
        f"{name}: expected a number, a word, true or false, or a list of these, found {value!r}."
    )
