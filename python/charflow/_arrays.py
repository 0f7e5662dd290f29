"""What people call points: arrays, lists, frames, tensors; and how results go out again."""

from __future__ import annotations

import sys
from typing import Any, Callable, List, NamedTuple, Optional, Sequence

import numpy as np
import numpy.typing as npt

from ._errors import ProblemError

Array = npt.NDArray[Any]


class Given(NamedTuple):
    """Points as they came in: float32 or float64 of shape (n, d), their names, and how to give points back in the same kind of thing."""

    values: Array
    columns: Optional[List[str]]
    again: Callable[[Array, Optional[List[str]]], Any]
    index: Any = None


def _root(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _plain(values: Array, columns: Optional[List[str]]) -> Any:
    return values


def points(value: Any, name: str) -> Given:
    """Points of shape (n, d) from whatever was given.

    Raises
    ------
    ProblemError
        With the argument's name, the place in it, and what to do.
    """
    root = _root(value)
    columns: Optional[List[str]] = None
    again: Callable[[Array, Optional[List[str]]], Any] = _plain
    if root == "pandas" and hasattr(value, "columns"):
        columns = _names(value.columns, name)
        index, kind, given = value.index, type(value), list(value.columns)
        # Names that are numbers are text inside, and come back as they were.
        original = dict(zip(columns or (), given))

        def again(values: Array, names: Optional[List[str]]) -> Any:
            back = given if names is None else [original[n] for n in names]
            return kind(values, index=index, columns=back)

        _check_frame(value, [str(t) for t in value.dtypes], name)
    elif root == "polars" and hasattr(value, "collect"):
        raise ProblemError(f"{name} is a lazy frame; expected one with rows: {name}.collect().")
    elif root == "polars" and hasattr(value, "columns"):
        columns = list(value.columns)
        frames = sys.modules["polars"]

        def again(values: Array, names: Optional[List[str]]) -> Any:
            return frames.DataFrame(values, schema=names)

        _check_frame(value, [str(t) for t in value.dtypes], name)
        value = value.to_numpy()
    elif root == "torch" and hasattr(value, "detach"):
        if value.device.type != "cpu":
            raise ProblemError(
                f"{name} is a tensor on {value.device}; expected one on the CPU: {name}.cpu()."
            )
        if value.requires_grad:
            raise ProblemError(
                f"{name} is a tensor that requires a gradient, which does not go through charflow: give {name}.detach()."
            )
        tensors = sys.modules["torch"]
        try:
            value = value.resolve_neg().numpy()
        except (TypeError, RuntimeError) as e:
            raise ProblemError(
                f"{name} is a tensor that numpy has no array for ({e}). Give {name}.to_dense().double() or the like."
            ) from e

        def again(values: Array, names: Optional[List[str]]) -> Any:
            return tensors.from_numpy(values)

    elif hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise ProblemError(
            f"{name} is a sparse matrix; dense points are expected. If they fit into memory give {name}.toarray(), otherwise reduce their dimension first."
        )
    elif root == "anndata":
        raise ProblemError(
            f"{name} is an AnnData object; use charflow.anndata.fit, or give an array of it, such as {name}.obsm['X_pca']."
        )
    index = getattr(value, "index", None) if root == "pandas" else None
    return Given(_numbers(value, name, columns), columns, again, index)


def _names(columns: Any, name: str) -> Optional[List[str]]:
    """Names of columns; none where they are only numbered."""
    if getattr(columns, "nlevels", 1) > 1:
        raise ProblemError(
            f"{name} has names of {columns.nlevels} levels; expected one. Join them first: {name}.columns.map('_'.join)."
        )
    if all(isinstance(c, (int, np.integer)) for c in columns):
        plain = list(columns) == list(range(len(columns)))
        return None if plain else [str(c) for c in columns]
    if not all(isinstance(c, str) for c in columns):
        raise ProblemError(
            f"{name} names its columns partly by text, partly by something else: {list(columns)[:8]}. "
            "Only string names are supported; mixed ones are not: give every column a name of text, or none."
        )
    return list(columns)


def _check_frame(frame: Any, types: Sequence[str], name: str) -> None:
    """Names the first column that holds no numbers, which an array of the whole frame would not."""
    known = ("int", "uint", "float", "bool", "decimal", "double", "halffloat", "sparse")
    for column, kind in zip(frame.columns, types):
        if kind.lower() == "object":
            continue  # Its values are looked at one by one.
        if not kind.lower().startswith(known):
            raise ProblemError(
                f"{name}, column `{column}` holds {kind} values; coordinates are numbers. Leave it out: labels go in by x_labels and y_labels."
            )


def _numbers(value: Any, name: str, columns: Optional[List[str]]) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmaskarray(value).any():
            raise ProblemError(
                f"{name} has masked values; every value must be a finite number. Fill them or leave the rows out."
            )
        value = value.data
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as e:
        raise ProblemError(
            f"{name} is no table of numbers: {e}. Expected points of shape (n, d), an array, a list of rows of one length, or a frame."
        ) from e
    if array.ndim != 2:
        raise ProblemError(_axes(array, name))
    if array.shape[1] == 0:
        raise ProblemError(
            f"{name} has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    kind = array.dtype.kind
    if kind == "c":
        raise ProblemError(
            f"Complex data not supported: {name} holds complex numbers. Give real and imaginary parts as columns of their own."
        )
    if kind in "biu":
        array = array.astype(np.float64)
    elif kind == "f":
        single = array.dtype.itemsize == 4
        array = array.astype(np.float32 if single else np.float64, copy=False)
    elif kind in "OUS":
        array = _from_objects(array, name, columns)
    else:
        raise ProblemError(
            f"{name} holds {array.dtype} values; coordinates are numbers."
        )
    # Views into records need not begin where a number may.
    return array if array.flags.aligned else array.copy()


def _axes(array: Array, name: str) -> str:
    wanted = "Expected points of shape (n, d), a row each."
    if array.ndim == 0:
        return f"{name} is a single value ({type(array.item()).__name__}). {wanted}"
    if array.ndim == 1:
        return (
            f"{name} has one axis, of length {array.shape[0]}. {wanted} Reshape your data: {name}.reshape(-1, 1) for points in one dimension, "
            f"{name}.reshape(1, -1) for one point."
        )
    return f"{name} has {array.ndim} axes, of shape {array.shape}. {wanted} Reshape your data: {name}.reshape(len({name}), -1) flattens each one."


def _from_objects(array: Array, name: str, columns: Optional[List[str]]) -> Array:
    try:
        return array.astype(np.float64)
    except (ValueError, TypeError):
        pass
    for (i, j), value in np.ndenumerate(array):
        try:
            float(value)
        except (ValueError, TypeError):
            column = columns[j] if columns else f"x{j + 1}"
            value = value.item() if isinstance(value, np.generic) else value
            raise ProblemError(
                f"{name}, row {i + 1}, column `{column}`: expected a number, found {value!r}. Mend it, or leave the row or the column out."
            ) from None
    raise ProblemError(f"{name} holds values that are no numbers.")


def listed(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def in_order(given: Given, names: Optional[List[str]], name: str, fitted: str) -> Array:
    """The columns of a frame in the order of `names`, by name; points without names by their place."""
    if names is None or given.columns is None or given.columns == names:
        return given.values
    ours, theirs = set(names), set(given.columns)
    if len(theirs) == len(given.columns) and ours == theirs:
        return given.values[:, [given.columns.index(n) for n in names]]
    text = f"{name} has other columns than {fitted}."
    for what, found in (
        ("Missing", [n for n in names if n not in theirs]),
        ("Not known", [n for n in given.columns if n not in ours]),
    ):
        if found:
            text += f" {what}: {listed([f'`{n}`' for n in found])}."
    raise ProblemError(text + " Choose the same columns.")


def _row(value: Any, name: str, what: str, n: Optional[int] = None) -> Array:
    """A value a point, as objects where it is a list: numpy would make text of a list with text and NaN in it."""
    array: Array
    if isinstance(value, (list, tuple)):
        array = np.empty(len(value), dtype=object)
        for k, item in enumerate(value):
            array[k] = item
    else:
        array = np.asarray(value.to_numpy() if _root(value) == "polars" else value)
    if array.ndim == 2 and array.shape[-1] == 1:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise ProblemError(
            f"{name} has shape {array.shape}; expected one {what} a point."
        )
    if n is not None and len(array) != n:
        raise ProblemError(f"{name}: {len(array)} {what}s for {n} points; expected one a point.")
    return array


def _is_missing(item: Any) -> bool:
    """None, NaN, NaT, pandas' NA."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, (float, np.floating, np.datetime64)) and bool(item != item)


def labels(
    value: Any, name: str, unlabelled: Optional[str], n: Optional[int] = None
) -> Optional[List[Optional[str]]]:
    """The name of each point's class, None where it is not known: None, NaN, NA, or what `unlabelled` says.

    Whole numbers are the same class however they are stored: 3, 3.0 and "3".
    """
    if value is None:
        return None
    found: List[Optional[str]] = []
    for item in _row(value, name, "label", n).tolist():
        if _is_missing(item):
            found.append(None)
            continue
        if isinstance(item, float) and item.is_integer():
            item = int(item)
        text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
        found.append(None if text == unlabelled else text)
    return found


def weights(value: Any, name: str) -> Optional[Array]:
    """One number a point, float64."""
    if value is None:
        return None
    array = _row(value, name, "weight")
    if array.dtype.kind == "c":
        raise ProblemError(f"{name} are complex; expected real numbers of at least 0.")
    try:
        return np.require(array, np.float64, ["C", "ALIGNED"])
    except (ValueError, TypeError) as e:
        raise ProblemError(f"{name} are no numbers: {e}.") from e
