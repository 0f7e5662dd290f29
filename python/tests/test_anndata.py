"""Cells in AnnData objects, and through h5ad files."""

import numpy as np
import pytest
from conftest import QUICK

import charflow.anndata
from charflow import CharacteristicFlow, ProblemError

anndata = pytest.importorskip("anndata")


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    early, late = rng.normal(size=(90, 5)), rng.normal(size=(70, 5)) * 1.5 + 2.0
    other = rng.normal(size=(20, 5))
    adata = anndata.AnnData(np.abs(rng.normal(size=(180, 8))).astype(np.float32))
    adata.obs["day"] = np.repeat([2, 7, 4], [90, 70, 20])
    adata.obs["stage"] = np.repeat(["early", "late", "mid"], [90, 70, 20])
    adata.obs["type"] = np.array(["B", "T"])[np.arange(180) % 2]
    adata.obs["mass"] = 1.0 + np.arange(180) % 3
    adata.obsm["X_pca"] = np.concatenate([early, late, other]).astype(np.float32)
    return adata


def test_pushed_cells_and_the_report_go_in_beside(cells, tmp_path):
    X = cells.obsm["X_pca"]
    flow = charflow.anndata.fit(cells, "day", source=2, target=7, **QUICK)
    assert np.array_equal(flow.transform(X[:90]), CharacteristicFlow(**QUICK).fit(X[:90], X[90:160]).transform(X[:90]))
    pushed, pulled = cells.obsm["charflow"], cells.obsm["charflow_backward"]
    assert pushed.shape == pulled.shape == X.shape and pushed.dtype == np.float32
    assert np.array_equal(pushed[:90], flow.transform(X[:90])) and np.isnan(pushed[90:]).all()
    assert np.array_equal(pulled[90:160], flow.inverse_transform(X[90:160]))
    assert np.isnan(pulled[:90]).all() and np.isnan(pulled[160:]).all()
    # Through a file.
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert np.array_equal(again.obsm["charflow"], pushed, equal_nan=True)
    kept = again.uns["charflow"]
    assert kept["sentence"] == flow.certificate_.sentence
    assert kept["report"]["solve"]["outcome"] == "step_limit"
    assert int(kept["arguments"]["steps"]) == 40 and kept["groupby"] == "day"
    # Read from a file the groups are categories.
    twin = charflow.anndata.fit(again, "stage", source="early", target=["late"], key_added="other", **QUICK)
    assert np.array_equal(again.obsm["other"], pushed, equal_nan=True)
    assert twin.transform(X).shape == X.shape


def test_labels_weights_and_other_representations(cells):
    flow = charflow.anndata.fit(
        cells, "day", 2, [7, 4], rep="X", labels="type", weights="mass", key_added="flow", **QUICK
    )
    assert flow.class_names_ == ["B", "T"] and flow.n_features_in_ == 8
    assert np.isfinite(cells.obsm["flow"][:90]).all()
    import pandas

    charflow.anndata.fit(cells, "day", pandas.Index([2]), pandas.Series([7]), key_added="again", **QUICK)
    assert np.isfinite(cells.obsm["again"][:90]).all()
    assert np.isfinite(cells.obsm["flow_backward"][90:]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"groupby": "hour"}, "adata.obs has no column 'hour'; it has day, stage, type, mass"),
        ({"source": 3}, "source: no cell has day 3; there are 2, 7, 4"),
        ({"target": 2}, "share cells"),
        ({"rep": "X_umap"}, "adata.obsm has no 'X_umap'; it has X_pca"),
        ({"labels": "kind"}, "no column 'kind' for labels"),
        ({"key_added": "X_pca"}, "would write over the representation"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(cells, arguments, words):
    with pytest.raises(ProblemError, match=words):
        charflow.anndata.fit(cells, **{"groupby": "day", "source": 2, "target": 7, **arguments}, **QUICK)
    assert list(cells.obsm) == ["X_pca"] and not cells.uns


def test_a_whole_object_is_no_array_of_points(cells):
    with pytest.raises(ProblemError, match="charflow.anndata.fit"):
        CharacteristicFlow(**QUICK).fit(cells, cells)
