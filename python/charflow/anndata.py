"""Cells: fits between two groups of an AnnData object, and writes the pushed cells beside them (``pip install charflow[anndata]``)."""

from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np

from ._arrays import Array, listed
from ._errors import ProblemError
from ._estimator import CharacteristicFlow


def fit(
    adata: Any,
    groupby: str,
    source: Any,
    target: Any,
    rep: str = "X_pca",
    *,
    labels: Optional[str] = None,
    weights: Optional[str] = None,
    key_added: str = "charflow",
    **arguments: Any,
) -> CharacteristicFlow:
    """Fits the map from the cells whose ``adata.obs[groupby]`` is `source` to those where it is `target`, in the representation ``adata.obsm[rep]``.

    Parameters
    ----------
    adata : AnnData
        Changed in place.
    groupby : str
        The column of ``adata.obs`` that tells the groups apart, such as "day".
    source, target
        A value of that column, or a list of some.
    rep : str, default "X_pca"
        A key of ``adata.obsm``, or "X" for ``adata.X`` (dense).
    labels, weights : str, optional
        Columns of ``adata.obs`` with classes, which are paired by name, and with weights.
    key_added : str, default "charflow"
        The name under which the results go in.
    **arguments
        Those of :class:`CharacteristicFlow`.

    Returns
    -------
    CharacteristicFlow
        The fitted map. ``adata.obsm[key_added]``, of shape (cells, d), holds ``T(x)`` of the source's cells, ``adata.obsm[key_added + "_backward"]`` holds ``S(y)`` of the
        target's; NaN for all others. ``adata.uns[key_added]`` holds the certificate's sentence and figures, the report and the arguments, in a form that goes into h5ad files.

    Raises
    ------
    ProblemError
        A column, group or representation is not there, with those that are.
    """
    obs = adata.obs
    if groupby not in obs.columns:
        raise ProblemError(
            f"adata.obs has no column {groupby!r}; it has {_listed(obs.columns)}."
        )
    if key_added == rep or f"{key_added}_backward" == rep:
        raise ProblemError(f"key_added={key_added!r} would write over the representation {rep!r}; choose another one.")
    points = _representation(adata, rep)
    rows = [_rows(obs[groupby], groupby, name, value) for name, value in (("source", source), ("target", target))]
    if np.any(rows[0] & rows[1]):
        raise ProblemError(
            f"source {source!r} and target {target!r} share cells; expected two groups of {groupby}."
        )
    beside: Dict[str, Any] = {}
    for name, column in (("labels", labels), ("weights", weights)):
        if column is None:
            continue
        if column not in obs.columns:
            raise ProblemError(
                f"adata.obs has no column {column!r} for {name}; it has {_listed(obs.columns)}."
            )
        values = np.asarray(obs[column])
        for side, chosen in zip("xy", rows):
            beside[f"{side}_{name}"] = values[chosen]
    flow = CharacteristicFlow(**arguments)
    first, second = points[rows[0]], points[rows[1]]
    flow.fit(first, second, **beside)
    for key, chosen, moved in (
        (key_added, rows[0], flow.transform(first)),
        (f"{key_added}_backward", rows[1], flow.inverse_transform(second)),
    ):
        whole = np.full(points.shape, np.nan, dtype=moved.dtype)
        whole[chosen] = moved
        adata.obsm[key] = whole
    adata.uns[key_added] = _storable(
        {
            "sentence": None if flow.certificate_ is None else flow.certificate_.sentence,
            "groupby": groupby,
            "source": source,
            "target": target,
            "rep": rep,
            "arguments": arguments,
            "report": flow.report_,
        }
    )
    return flow


def _listed(names: Any) -> str:
    return listed([str(n) for n in names]) or "none"


def _representation(adata: Any, rep: str) -> Array:
    if rep == "X":
        if hasattr(adata.X, "toarray"):
            raise ProblemError(
                "adata.X is sparse; a map needs a dense representation of few dimensions: compute principal components and give rep='X_pca'."
            )
        return np.asarray(adata.X)
    if rep not in adata.obsm:
        raise ProblemError(
            f"adata.obsm has no {rep!r}; it has {_listed(adata.obsm.keys())}. Compute it first (scanpy.pp.pca makes X_pca), or name another by rep."
        )
    found = adata.obsm[rep]
    if hasattr(found, "toarray"):
        raise ProblemError(
            f"adata.obsm[{rep!r}] is sparse; a map needs a dense representation: give one of few dimensions by rep."
        )
    return np.asarray(found)


def _rows(column: Any, groupby: str, name: str, value: Any) -> Array:
    several = hasattr(value, "__iter__") and not isinstance(value, (str, bytes))
    wanted = list(value) if several else [value]
    values = np.asarray(column)
    chosen = np.zeros(len(values), dtype=bool)
    for one in wanted:
        # A category read from a file may be text where the number is meant.
        hit = (values == one) | (values.astype(str) == str(one))
        if not hit.any():
            there = list(dict.fromkeys(values.astype(str).tolist()))
            raise ProblemError(
                f"{name}: no cell has {groupby} {one!r}; there are {_listed(there)}."
            )
        chosen |= hit
    return chosen


def _storable(value: Any) -> Any:
    """What h5ad files hold: no None, keys of text without slashes, lists of one kind as arrays."""
    if isinstance(value, dict):
        return {str(k).replace("/", "_"): _storable(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple, set)):
        items = [_storable(v) for v in value if v is not None]
        if all(isinstance(v, (bool, int, float)) for v in items):
            return np.asarray(items)
        if all(isinstance(v, str) for v in items):
            return np.asarray(items, dtype=object)
        return {str(k): v for k, v in enumerate(items)}
    if isinstance(value, (bool, int, float, str, np.generic, np.ndarray)):
        return value
    return repr(value)
