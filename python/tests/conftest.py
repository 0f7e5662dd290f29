"""Small data and small fits that the tests share."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from charflow import CharacteristicFlow

#: A network and a number of steps that take a tenth of a second: enough for everything but accuracy.
QUICK = {"steps": 40, "settings": {"network.hidden": [16, 16]}, "seed": 3, "progress": False}


def clouds(n=300, m=260, d=2, seed=0):
    """A round cloud and a bent, shifted one, so that the best map is not linear."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = rng.normal(size=(m, d))
    y[:, 0] = y[:, 0] + 2.0 * y[:, -1] ** 2 + 3.0
    return x, y


@pytest.fixture(scope="session")
def data():
    return clouds()


@pytest.fixture(scope="session")
def flow(data):
    """A fitted map that tests only look at."""
    return CharacteristicFlow(**QUICK).fit(*data)


@pytest.fixture(scope="session")
def command():
    """The command charflow: from CHARFLOW_COMMAND, or on the path."""
    found = os.environ.get("CHARFLOW_COMMAND") or shutil.which("charflow")
    if not found or not pathlib.Path(found).exists():
        pytest.skip("the command charflow is not there: set CHARFLOW_COMMAND to it")
    return found
