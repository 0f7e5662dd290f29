"""The command charflow and the package are two faces of one library: same data, same arguments, the same bytes; each reads what the other wrote."""

import subprocess

import numpy as np
import pytest
from conftest import clouds

from charflow import CharacteristicFlow

ARGUMENTS = {"steps": 60, "seed": 5, "settings": {"network.hidden": [16, 16]}, "progress": False}
OPTIONS = ["--steps", "60", "--seed", "5", "--set", "network.hidden=[16, 16]", "--no-figures"]


def run(command, *words, cwd):
    done = subprocess.run([command, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("cost", "shift"), [("quadratic", 0.0), ("elastic:0.5", 0.0), ("quadratic", 1e5), ("mahalanobis:[[2,0.5],[0.5,1]]", 0.0)]
)
def test_same_seed_same_data_same_model(command, tmp_path, cost, shift, dtype):
    X, Y = (np.asarray(side + shift, dtype=dtype) for side in clouds())
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", Y)
    run(command, "fit", "a.npy", "b.npy", "-o", "run", "--cost", cost, *OPTIONS, cwd=tmp_path)
    flow = CharacteristicFlow(cost=cost, **ARGUMENTS).fit(X, Y)
    flow.save(tmp_path / "ours")
    for name in ("model.safetensors", "config.toml"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes(), name
    run(command, "transport", "run", "a.npy", "-o", "moved.npy", cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "moved.npy"), flow.transform(X))
    # A run of the command is loaded, and gone on with.
    again = CharacteristicFlow.load(tmp_path / "run")
    assert again.certificate_ == flow.certificate_
    assert np.array_equal(again.transform(X), flow.transform(X))
    again.resume(X, Y, steps=70)
    run(command, "fit", "a.npy", "b.npy", "-o", "run", "--resume", "--steps", 70, "--no-figures", cwd=tmp_path)
    again.save(tmp_path / "further")
    further = (tmp_path / "further" / "model.safetensors").read_bytes()
    assert further == (tmp_path / "run" / "model.safetensors").read_bytes()


def test_classes_and_weights_give_the_same_model(command, tmp_path):
    X, Y = clouds()
    kinds, others = np.arange(len(X)) % 2, np.arange(len(Y)) % 2
    weights = 1.0 + np.arange(len(X)) % 3
    others_weights = np.ones(len(Y))
    for name, points, labels, mass in (("a", X, kinds, weights), ("b", Y, others, others_weights)):
        np.savez(tmp_path / f"{name}.npz", x=points, kind=labels.astype(str), mass=mass)
    words = ["--labels", "kind", "--weights", "mass"]
    run(command, "fit", "a.npz", "b.npz", "-o", "run", *words, *OPTIONS, cwd=tmp_path)
    flow = CharacteristicFlow(**ARGUMENTS)
    flow.fit(X, Y, x_labels=kinds, y_labels=others, x_weights=weights, y_weights=others_weights)
    flow.save(tmp_path / "ours")
    ours = (tmp_path / "ours" / "model.safetensors").read_bytes()
    assert ours == (tmp_path / "run" / "model.safetensors").read_bytes()


def test_runs_with_labels_go_both_ways(command, tmp_path):
    X, Y = clouds()
    kinds = np.array(["a", "b"])[np.arange(len(X)) % 2]
    others = np.array(["a", "b", "?"])[np.arange(len(Y)) % 3]
    for name, points, labels in (("a", X, kinds), ("b", Y, others)):
        np.savez(tmp_path / f"{name}.npz", x=points, kind=labels)
    words = ["--labels", "kind", "--unlabelled", "?"]
    run(command, "fit", "a.npz", "b.npz", "-o", "theirs", *words, *OPTIONS, cwd=tmp_path)
    flow = CharacteristicFlow.load(tmp_path / "theirs")
    assert flow.unlabelled == "?" and flow.class_names_ == ["a", "b"]
    flow.resume(X, Y, x_labels=kinds, y_labels=others, steps=70)
    flow.save(tmp_path / "further")
    # Ours, gone on with by the command, whatever the column is called.
    ours = CharacteristicFlow(unlabelled="?", **ARGUMENTS).fit(X, Y, x_labels=kinds, y_labels=others)
    ours.save(tmp_path / "ours")
    run(command, "fit", "a.npz", "b.npz", "-o", "ours", "--resume", "--steps", 70, *words, "--no-figures", cwd=tmp_path)
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("further", "ours")]
    assert models[0] == models[1]


def test_the_command_takes_a_run_of_ours(command, tmp_path):
    pandas = pytest.importorskip("pandas")
    X, Y = clouds()
    frames = [pandas.DataFrame(side, columns=["a", "b"]) for side in (X, Y)]
    flow = CharacteristicFlow(**ARGUMENTS).fit(*frames)
    flow.save(tmp_path / "run")
    for name, frame in zip(("x.csv", "y.csv"), frames):
        frame.to_csv(tmp_path / name, index=False)
    run(command, "transport", "run", "x.csv", "-o", "moved.csv", cwd=tmp_path)
    with open(tmp_path / "moved.csv") as file:
        assert file.readline() == "a,b\n"
        moved = np.array([[float(cell) for cell in line.split(",")] for line in file])
    assert np.array_equal(moved, flow.transform(X))
    assert "fitted to" in run(command, "evaluate", "run", "x.csv", "y.csv", cwd=tmp_path)
    run(command, "fit", "x.csv", "y.csv", "-o", "run", "--resume", "--steps", 70, cwd=tmp_path)
    assert CharacteristicFlow.load(tmp_path / "run").history_["step"][-1] == 70
    fresh = tmp_path / "fresh"
    flow.save(fresh)
    refused = subprocess.run([command, "plot", "fresh"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and "--source FILE" in refused.stderr
    words = ["--source", "x.csv", "--target", "y.csv", "-o", "drawn"]
    run(command, "plot", "fresh", *words, cwd=tmp_path)
    assert (tmp_path / "drawn" / "transport.png").stat().st_size > 1000


def test_errors_are_in_the_words_of_the_command(command, tmp_path):
    X, Y = clouds()
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", Y)
    for options, arguments in (
        (["--cost", "cubic"], {"cost": "cubic"}),
        (["--effort", "much"], {"effort": "much"}),
        (["--preset", "fast"], {"preset": "fast"}),
        (["--set", "optimiser.speed=1"], {"settings": {"optimiser.speed": 1}}),
    ):
        done = subprocess.run(
            [command, "fit", "a.npy", "b.npy", "-o", "run", *options], cwd=tmp_path, capture_output=True, text=True
        )
        with pytest.raises(ValueError) as raised:
            CharacteristicFlow(**arguments).fit(X, Y)
        assert done.stderr.strip() == f"error: {raised.value}"
