"""Figures with matplotlib (``pip install charflow[plot]``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _arrays
from ._arrays import Array

if TYPE_CHECKING:
    from ._estimator import CharacteristicFlow

#: Points drawn of a side: more only make the figure slower.
_MOST = 4000
#: Ways drawn.
_LINES = 150
_SOURCE, _TARGET, _GREY = "#2066a8", "#c46666", "#b0b0b0"


def _matplotlib() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as e:
        raise ImportError(
            "a figure needs matplotlib, which is not installed: pip install charflow[plot], or pip install matplotlib."
        ) from e
    return plt


class _Plane:
    """The two directions in which the clouds of the data spread most; the coordinates themselves where there are two."""

    def __init__(self, clouds: Sequence[Array], names: Sequence[str]) -> None:
        pooled = np.concatenate(clouds)
        self.mean = pooled.mean(axis=0)
        if pooled.shape[1] == 2:
            self.mean = np.zeros(2)
            self.axes = np.eye(2)
            self.names = list(names)
            return
        _, _, axes = np.linalg.svd(pooled - self.mean, full_matrices=False)
        # The sign of a component is arbitrary; the largest entry is made positive, so that two figures of one data set agree.
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
        self.axes = (axes * signs[:, None])[:2].T
        self.names = ["component 1", "component 2"]

    def __call__(self, x: Array) -> Array:
        flat: Array = (x - self.mean) @ self.axes
        return flat


def _some(values: Array, count: int) -> Array:
    """Rows evenly spaced, so that tables sorted by class are shown whole."""
    rows = min(count, len(values))
    return np.arange(rows) * len(values) // max(rows, 1)


def transport(
    flow: "CharacteristicFlow",
    X: Any,
    Y: Any,
    *,
    x_labels: Any = None,
    y_labels: Any = None,
    times: Union[float, Sequence[float]] = (),
    figsize: Optional[Tuple[float, float]] = None,
) -> Any:
    """Source and target, the pushed points over the target, the pulled ones over the source, and some of the ways; a ``matplotlib.figure.Figure``.

    Above two dimensions the panels show the plane in which the data spread most. `times` adds a panel for each time in between. `x_labels` and `y_labels` colour by class.
    """
    plt = _matplotlib()
    # Columns of frames in the order of the fit.
    x, y = flow._points(X, "X"), flow._points(Y, "Y")
    times = [float(t) for t in np.ravel(times)]
    rows, others = _some(x.values, _MOST), _some(y.values, _MOST)
    first, second = x.values[rows].astype(float), y.values[others].astype(float)
    model = flow._model()
    names = model.columns or x.columns or [f"x{k + 1}" for k in range(model.dim)]
    pushed, pulled = flow.transform(first), flow.inverse_transform(second)
    between = [flow.interpolate(first, t) for t in times]
    panels = 4 + len(between)
    figure, axes = plt.subplots(
        1, panels, figsize=figsize or (4.0 * panels, 4.2), layout="constrained"
    )
    if model.dim == 1:
        _on_a_line(axes, first, second, pushed, pulled, between, times, names[0])
        return figure
    colours = _colours(
        _labels_of(x_labels, rows, len(x.values), "x_labels", flow),
        _labels_of(y_labels, others, len(y.values), "y_labels", flow),
    )
    plane = _Plane([first, second], names)
    size = 150.0 / np.sqrt(max(len(first), 1))

    def dots(ax: Any, at: Array, colour: Any, back: Optional[Array] = None) -> None:
        if back is not None:
            ax.scatter(*plane(back).T, s=size, c=_GREY, linewidths=0)
        ax.scatter(*plane(at).T, s=size, c=colour, linewidths=0)

    dots(axes[0], first, colours[0])
    dots(axes[0], second, colours[1])
    axes[0].set_title("source and target")
    dots(axes[1], pushed, colours[0], second)
    axes[1].set_title("forward: T(X) on Y")
    dots(axes[2], pulled, colours[1], first)
    axes[2].set_title("backward: S(Y) on X")
    some = _some(first, _LINES)
    starts, ends = plane(first[some]), plane(pushed[some])
    axes[3].plot(
        np.stack([starts[:, 0], ends[:, 0]]),
        np.stack([starts[:, 1], ends[:, 1]]),
        color=_GREY,
        lw=0.7,
    )
    dots(axes[3], first[some], _SOURCE)
    dots(axes[3], pushed[some], _TARGET)
    axes[3].set_title("ways")
    for ax, t, at in zip(axes[4:], times, between):
        dots(ax, at, colours[0])
        ax.set_title(f"t = {t:g}")
    limits = np.concatenate([plane(first), plane(second)])
    low, high = limits.min(axis=0), limits.max(axis=0)
    edge = 0.05 * np.where(high > low, high - low, 1.0)
    for ax in axes:
        ax.set(
            xlim=(low[0] - edge[0], high[0] + edge[0]),
            ylim=(low[1] - edge[1], high[1] + edge[1]),
            xlabel=plane.names[0],
        )
        ax.set_aspect("equal", adjustable="box")
    axes[0].set_ylabel(plane.names[1])
    return figure


def _labels_of(
    labels: Any, rows: Array, n: int, name: str, flow: "CharacteristicFlow"
) -> Optional[List[Optional[str]]]:
    found = _arrays.labels(labels, name, flow.unlabelled, n)
    return None if found is None else [found[i] for i in rows]


def _colours(*sides: Optional[List[Optional[str]]]) -> List[Any]:
    """A colour a point: by class where there are labels, else by side."""
    plt = _matplotlib()
    known = sorted({c for side in sides if side for c in side if c is not None})
    wheel = plt.get_cmap("tab10" if len(known) <= 10 else "turbo", max(len(known), 1))
    by_name = {c: wheel(k) for k, c in enumerate(known)}
    return [
        plain if side is None else [by_name.get(c, _GREY) if c is not None else _GREY for c in side]
        for side, plain in zip(sides, (_SOURCE, _TARGET))
    ]


def _on_a_line(
    axes: Any,
    first: Array,
    second: Array,
    pushed: Array,
    pulled: Array,
    between: Sequence[Array],
    times: Sequence[float],
    name: str,
) -> None:
    """The panels of points in one dimension: histograms, and the graph of the map."""
    pooled = np.concatenate([first, second])
    bins = np.linspace(pooled.min(), pooled.max(), 60)

    def bars(ax: Any, values: Array, colour: str) -> None:
        ax.hist(values[:, 0], bins=bins, density=True, color=colour, alpha=0.6)

    for ax, title, drawn in (
        (axes[0], "source and target", ((first, _SOURCE), (second, _TARGET))),
        (axes[1], "forward: T(X) on Y", ((second, _GREY), (pushed, _SOURCE))),
        (axes[2], "backward: S(Y) on X", ((first, _GREY), (pulled, _TARGET))),
    ):
        for values, colour in drawn:
            bars(ax, values, colour)
        ax.set(title=title, xlabel=name)
    order = np.argsort(first[:, 0])
    axes[3].plot(first[order, 0], pushed[order, 0], color=_SOURCE)
    axes[3].set(title="T", xlabel=name)
    for ax, t, at in zip(axes[4:], times, between):
        bars(ax, at, _SOURCE)
        ax.set(title=f"t = {t:g}", xlabel=name)


def losses(flow: "CharacteristicFlow") -> Any:
    """The losses over steps, those of the batches and those of the held-out points; a ``matplotlib.figure.Figure``."""
    plt = _matplotlib()
    flow._model()
    history = flow.history_
    figure, axes = plt.subplots(1, 3, figsize=(12.0, 3.6), layout="constrained")
    panels = (
        ("energy distance", ("ed_forward", "ed_backward", "held_out_forward", "held_out_backward")),
        ("Hamilton-Jacobi losses", ("hj", "hj_terminal", "pde")),
        ("objective", ("loss", "held_out")),
    )
    for ax, (title, names) in zip(axes, panels):
        for name in names:
            values = history[name]
            shown = np.isfinite(values)
            if shown.any() and np.any(values[shown] != 0.0):
                style = "." if name.startswith("held_out") else "-"
                ax.plot(history["step"][shown], values[shown], style, label=name, lw=1.0)
        ax.set(title=title, xlabel="step")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False)
    return figure
