"""Optimal transport maps between two sets of points, forward, backward and at any time in between, from one small network, with a certificate.

>>> import numpy as np
>>> from charflow import CharacteristicFlow
>>> rng = np.random.default_rng(0)
>>> X, Y = rng.normal(size=(500, 2)), rng.normal(size=(400, 2)) + [3.0, 0.0]
>>> flow = CharacteristicFlow(steps=200).fit(X, Y)
>>> flow.transform(X).shape, flow.inverse_transform(Y).shape
((500, 2), (400, 2))
"""

from __future__ import annotations

import importlib
from typing import Any

from ._charflow import __version__, costs, efforts, isa, presets
from ._errors import (
    Error,
    ExtrapolationWarning,
    FileError,
    FitWarning,
    InternalError,
    MissingFileError,
    NotFittedError,
    NumericalError,
    ProblemError,
    SettingError,
)
from ._estimator import CharacteristicFlow
from ._results import Certificate, Evaluation

__all__ = [
    "Certificate",
    "CharacteristicFlow",
    "Error",
    "Evaluation",
    "ExtrapolationWarning",
    "FileError",
    "FitWarning",
    "InternalError",
    "MissingFileError",
    "NotFittedError",
    "NumericalError",
    "ProblemError",
    "SettingError",
    "__version__",
    "costs",
    "efforts",
    "isa",
    "presets",
]


def __getattr__(name: str) -> Any:
    # Only imported when asked for: they look for matplotlib and AnnData objects.
    if name in ("anndata", "plot"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
