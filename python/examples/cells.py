"""Cells before and after: where did each cell go, and where did it come from?

The cells are made up here: three types in 30 principal components, one of which divides into two fates. With cells of your own read an .h5ad file instead.

python cells.py            prints what happened to each type, draws cells.png, writes cells.h5ad; needs charflow[anndata,plot]
"""

import anndata
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import charflow.anndata

rng = np.random.default_rng(0)
types = np.array(["stem", "B", "T"])
centres = np.zeros((3, 30))
centres[:, :2] = [[0.0, 0.0], [6.0, 1.0], [-5.0, 4.0]]


def cells(n, moved):
    kind = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    x = centres[kind] + rng.normal(size=(n, 30)) * np.linspace(1.2, 0.2, 30)
    if moved:
        # All drift along the third component; stem cells part into two fates along the second.
        x[:, 2] += 2.0
        stem = kind == 0
        x[stem, 1] = np.where(x[stem, 1] > 0, x[stem, 1] + 3.0, x[stem, 1] - 3.0)
    return x, types[kind]


(early, kind_early), (late, kind_late) = cells(3000, False), cells(2500, True)
adata = anndata.AnnData(
    obs=pd.DataFrame(
        {"day": [2] * 3000 + [7] * 2500, "type": np.concatenate([kind_early, kind_late])},
        index=[f"cell{k}" for k in range(5500)],
    ),
    obsm={"X_pca": np.concatenate([early, late])},
)

# One call; the pushed cells go into adata.obsm["charflow"], the report into adata.uns["charflow"]. The types are not used.
flow = charflow.anndata.fit(adata, groupby="day", source=2, target=7, steps=800, seed=0)
print(adata.uns["charflow"]["sentence"] + ".\n")

pushed = adata.obsm["charflow"][:3000]
for name in types:
    chosen = kind_early == name
    move = pushed[chosen] - early[chosen]
    fates = (pushed[chosen, 1] > centres[types == name, 1]).mean()
    print(f"{name:>5}: {chosen.sum():4d} cells, moved by {np.linalg.norm(move, axis=1).mean():.2f}, drift {move[:, 2].mean():+.2f}, {fates:.0%} go up")
right = (((pushed[:, None] - centres[None])[:, :, 0] ** 2).argmin(1) == [list(types).index(k) for k in kind_early]).mean()
print(f"{right:.1%} end where their own type is")

adata.write_h5ad("cells.h5ad")
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", sharex=True, sharey=True)
for ax, points, kinds, title in ((axes[0], early, kind_early, "day 2"), (axes[1], pushed, kind_early, "day 2, pushed"), (axes[2], late, kind_late, "day 7")):
    for name, colour in zip(types, ("#2066a8", "#c46666", "#8cc5a2")):
        ax.scatter(*points[kinds == name, :2].T, s=3, c=colour, label=name)
    ax.set(title=title, xlabel="component 1")
axes[0].legend(frameon=False, markerscale=4)
figure.savefig("cells.png", dpi=110)
print("look at cells.png; the cells are in cells.h5ad")
