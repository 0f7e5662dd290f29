"""What `transform` costs beside the Rust call inside it: conversion, checks, the copy out.

python overhead.py [rows] [columns]      prints both times and their ratio, the median of pairs of calls
"""

import statistics
import sys
import time

import numpy as np

from charflow import CharacteristicFlow

rows, columns = (int(v) for v in (sys.argv[1:] + ["100000", "50"])[:2])
rng = np.random.default_rng(0)
X = rng.normal(size=(rows, columns))
Y = rng.normal(size=(2000, columns)) ** 2
flow = CharacteristicFlow(steps=60, seed=0, progress=False).fit(X[:2000], Y)
print(f"{rows} x {columns}, network {flow.config_['network']['kind']} {flow.config_['network']['hidden']}")

for name, points in (
    ("float64", X),
    ("float32", X.astype(np.float32)),
    ("float64, Fortran order", np.asfortranarray(X)),
):
    inside, whole = [], []
    for _ in range(15):
        inside.append(flow._fitted.seconds_forward(points, 0))
        started = time.perf_counter()
        images = flow.transform(points)
        whole.append(time.perf_counter() - started)
        # Giving memory back is not measured on the other side either.
        del images
    ratio = statistics.median(w / i for w, i in zip(whole, inside))
    print(f"{name:>24}: Rust {statistics.median(inside):.4f} s, transform {statistics.median(whole):.4f} s, overhead {100 * (ratio - 1):+.1f} %")
