"""What can go wrong, each as Python's own kind of error too."""

from __future__ import annotations

import sys
from typing import Any, Dict, NoReturn, Tuple, Type


class Error(Exception):
    """The root of all errors of charflow."""


class ProblemError(Error, ValueError):
    """The points, or a call, make no sense as they stand."""


class SettingError(Error, ValueError):
    """A setting makes no sense: an unknown cost, a number out of range."""


class FileError(Error, OSError):
    """A file or run directory cannot be read or written, or is damaged."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no such run or model file."""


class NumericalError(Error, ArithmeticError):
    """A number stopped being finite and there is no good state to go back to."""


class InternalError(Error, RuntimeError):
    """A mistake in charflow itself."""


class NotFittedError(Error, ValueError, AttributeError):
    """A map is asked for before :meth:`CharacteristicFlow.fit`."""


class FitWarning(UserWarning):
    """A fit ended early, interrupted or diverged; there is a map, of the steps so far."""


class ExtrapolationWarning(UserWarning):
    """Points lie far outside those of the fit, so their images say little."""


_with_theirs: Dict[str, Type[NotFittedError]] = {}


def _not_fitted(message: str) -> NotFittedError:
    """The error; where scikit-learn is in use, one that is also its own. A function, so that pickle finds it."""
    theirs = sys.modules.get("sklearn.exceptions")
    if theirs is None:
        return NotFittedError(message)
    if "both" not in _with_theirs:

        def reduce(self: NotFittedError) -> Tuple[Any, ...]:
            return _not_fitted, self.args

        bases = (NotFittedError, theirs.NotFittedError)
        _with_theirs["both"] = type("NotFittedError", bases, {"__reduce__": reduce})
    return _with_theirs["both"](message)


def raise_not_fitted(name: str) -> NoReturn:
    """Raises :class:`NotFittedError`."""
    raise _not_fitted(f"this {name} is not fitted yet. Call fit(X, Y) first, or load a run.")
