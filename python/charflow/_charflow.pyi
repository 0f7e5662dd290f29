"""
The native part of charflow. Private: use the package.
"""

from _typeshed import Incomplete, SupportsGetItem
from os import PathLike
from typing import Any, Final, SupportsFloat, SupportsIndex, final

__all__ = ["__version__", "Model", "Points", "costs", "efforts", "isa", "outcomes", "presets"]

__version__: Final[str]
"""
The version of the package.
"""

@final
class Model:
    """
    A fitted map, and where its solve stands.
    """
    def __reduce__(self, /) -> tuple:
        """
        How pickle and copy make it again.
        """
    def backward_at(self, /, y: Incomplete, t: SupportsFloat | SupportsIndex, threads: SupportsIndex) -> tuple[Any, int]:
        """
        The points at time `t` of the characteristics that end at `y`, of shape (n, d), at time 1; and how many of `y` lie far outside the target of the fit.
        """
    def certify(self, /, source: Points, target: Points, seed: SupportsIndex, threads: SupportsIndex) -> tuple[str, str]:
        """
        The certificate on points, as JSON and as text.
        """
    @property
    def classes(self, /) -> list[str]:
        """
        The classes, in order of their names; empty without labels.
        """
    @property
    def columns(self, /) -> list[str] | None:
        """
        The names of the fitted columns, if they have any.
        """
    @property
    def config(self, /) -> str:
        """
        All settings, as JSON.
        """
    @property
    def cost(self, /) -> str:
        """
        The transport cost as the model keeps it.
        """
    @property
    def dim(self, /) -> int:
        """
        The dimension of the points.
        """
    def evaluate(self, /, source: Points, target: Points, seed: SupportsIndex, threads: SupportsIndex) -> tuple[str, list[str]]:
        """
        The whole evaluation on points, as JSON, and it and its certificate as text.
        """
    @staticmethod
    def fit(source: Points, target: Points, asked: dict, command: str, progress: Any | None = None) -> tuple[Model, bool]:
        """
        Fits a map. `asked` are settings by name: preset, effort, cost, steps, time_limit, seed, threads, and any other by its dotted name with its value as TOML.
        `command` is what the report names as its origin; `progress(step, steps, seconds, loss, held_out)` is called some ten times a second. Also gives whether an
        interrupt came once the solve was over: then the map is whole and not judged.
        """
    def forward_at(self, /, x: Incomplete, t: SupportsFloat | SupportsIndex, threads: SupportsIndex) -> tuple[Any, int]:
        """
        The points at time `t` of the characteristics that start at `x`, of shape (n, d), at time 0; and how many of `x` lie far outside the source of the fit.
        """
    @staticmethod
    def from_parts(parts: dict) -> Model:
        """
        The model whose `to_parts` these are.
        """
    def gradient(self, /, x: Incomplete, t: SupportsFloat | SupportsIndex, threads: SupportsIndex) -> Any:
        """
        The gradient of the potential with respect to the points, of shape (n, d).
        """
    @property
    def history(self, /) -> dict:
        """
        The losses over steps: arrays by name.
        """
    @staticmethod
    def load(path: str | PathLike[str]) -> Model:
        """
        Loads a run directory or a model file.
        """
    def potential(self, /, x: Incomplete, t: SupportsFloat | SupportsIndex, threads: SupportsIndex) -> Any:
        """
        The potential u(x, t), of shape (n, 1).
        """
    @property
    def report(self, /) -> str | None:
        """
        What `report.json` holds, as JSON; None for a model file without its run.
        """
    def resume(self, /, source: Points, target: Points, asked: dict, command: str, progress: Any | None = None) -> tuple[Model, bool] | None:
        """
        Goes on with the solve on the same points; `asked` may change steps, time_limit and threads. None if there is nothing left to do, else as `fit`.
        """
    def save(self, /, path: str | PathLike[str], overwrite: bool) -> None:
        """
        Writes a run directory, or, where the path ends in `.safetensors`, the model file alone.
        """
    def seconds_forward(self, /, x: Incomplete, threads: SupportsIndex) -> float:
        """
        Seconds that the Rust library takes for the forward map of `x`, and nothing around it: what the face's overhead is measured against.
        """
    @property
    def text(self, /) -> list[str] | None:
        """
        The evaluation of the fit and its certificate as the command prints them; None where the model was loaded.
        """
    def to_parts(self, /) -> dict:
        """
        All of it as bytes, for pickle: the model, and of the run what there is.
        """
    @property
    def unlabelled(self, /) -> str | None:
        """
        What stood in place of labels that were not known, if anything did.
        """
    @property
    def usual_config(self, /) -> str | None:
        """
        The settings that a fit would have on these points by preset, effort and cost alone, as JSON; None for a model file without its run.
        """

@final
class Points:
    """
    One side of a problem: points with names, labels and weights, as the library holds them. Used once: a fit works on the points in place.
    """
    def __new__(cls, /, name: str, values: Incomplete, columns: SupportsGetItem[int, str] | None, labels: SupportsGetItem[int, str | None] | None, weights: Incomplete | None, threads: SupportsIndex) -> Points:
        """
        Points called `name` from `values`, float32 or float64 of shape (n, d); a label that is None is not known.
        """

def costs() -> list[tuple[str, str]]:
    """
    The costs there are: their spelling, and their formula.
    """

def efforts() -> list[str]:
    """
    The efforts there are.
    """

def isa() -> str:
    """
    The instruction set that the kernels use; ValueError if CHARFLOW_ISA asks for one that this processor lacks.
    """

def outcomes() -> list[str]:
    """
    The ways in which a solve ends.
    """

def presets() -> list[tuple[str, str]]:
    """
    The presets there are: their name, and what they are for.
    """
