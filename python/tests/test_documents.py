"""What the documents say runs as printed, and the native module is what its stub and the package say."""

import doctest
import inspect
import pathlib
import re

import numpy as np
import pytest

import charflow
from charflow import _charflow

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "python/README.md", "docs/coming-from-pot.md", "docs/coming-from-ott-jax.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_lines_of_documents_run(document, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert blocks, "no Python in it"
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(400, 2)), rng.normal(size=(300, 2)) * [2.0, 0.5] + [3.0, 0.0]
    names = {"X": X, "Y": Y, "X_test": X[:100] + 0.01, "Y_test": Y[:100] + 0.01}
    for block in blocks:
        if "plot(" in block:
            pytest.importorskip("matplotlib").use("Agg")
        # The lines are a user's; only the fit is made short.
        exec(compile(block.replace('effort="normal"', 'effort="quick"'), document, "exec"), names)


def test_examples_in_docstrings_run():
    from charflow import _estimator

    for module in (charflow, _estimator):
        failed, tried = doctest.testmod(module)
        assert tried > 2 and failed == 0, module.__name__


def test_everything_public_is_documented():
    for name in charflow.__all__:
        thing = getattr(charflow, name)
        assert name == "__version__" or inspect.getdoc(thing), name
        if inspect.isclass(thing) and thing.__module__.startswith("charflow"):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert inspect.getdoc(value), f"{name}.{member}"
    parameters = inspect.signature(charflow.CharacteristicFlow).parameters
    for name in parameters:
        assert f"\n{name} : " in inspect.getdoc(charflow.CharacteristicFlow), name
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())


def test_nothing_native_is_left_unwrapped():
    """Every method of the native model is used by the package, and the stub knows each."""
    package = pathlib.Path(charflow.__file__).parent
    text = "".join(p.read_text() for p in package.glob("*.py"))
    stub = (package / "_charflow.pyi").read_text()
    # Pickle's own, what fits call by themselves, and what only the benchmark and this file ask for.
    elsewhere = {"__reduce__", "to_parts", "from_parts", "seconds_forward", "outcomes"}
    for owner in (_charflow, _charflow.Model, _charflow.Points):
        for name in vars(owner):
            if name.startswith("__") and name not in ("__version__", "__reduce__"):
                continue
            assert re.search(rf"\b(def|class) {name}\b|\b{name}: ", stub), f"{name} is not in the stub"
            used = rf"\.{name}\b" if owner is not _charflow else rf"\b{name}\b"
            assert name in elsewhere or re.search(used, text), f"{name} is not used"
    assert (package / "py.typed").exists()


def test_modules_are_there_when_they_are_asked_for():
    assert charflow.anndata.fit and charflow.plot.transport
    with pytest.raises(AttributeError, match="charflow"):
        charflow.gone


def test_outcomes_are_those_documented():
    for outcome in _charflow.outcomes():
        assert f'"{outcome}"' in charflow.CharacteristicFlow.__doc__
