"""A round cloud becomes two moons and comes back: the whole package in one page.

python two_moons.py        prints the certificate, draws two_moons.png
"""

import numpy as np

from charflow import CharacteristicFlow


def moons(n, rng):
    """Points on two half circles that reach into each other, with a little noise."""
    angle, upper = rng.uniform(0.0, np.pi, n), rng.random(n) < 0.5
    x = np.where(upper, np.cos(angle), 1.0 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return 2.0 * np.stack([x, y], axis=1) + 0.1 * rng.normal(size=(n, 2))


rng = np.random.default_rng(0)
X, Y = rng.normal(size=(5000, 2)), moons(5000, rng)

# Two clouds, no pairing between their points. One small network, both maps.
flow = CharacteristicFlow(steps=1500, seed=0).fit(X, Y)
print(f"{flow.outcome_} after {flow.report_['solve']['steps']} steps\n")

# How good is it? On points that it has not seen, in one sentence, and beside the best linear map.
X_test, Y_test = rng.normal(size=(3000, 2)), moons(3000, rng)
print(flow.evaluate(X_test, Y_test), "\n")

# Forward, backward, and any time in between, in closed form.
there = flow.transform(X_test)
back = flow.inverse_transform(there)
print(f"there and back: {np.abs(back - X_test).max():.3f} away at most, {np.abs(back - X_test).mean():.4f} in the mean")
half = flow.interpolate(X_test, t=0.5)
print(f"half way is half way: {np.abs(half - (X_test + there) / 2).max():.1e}")

# The Kantorovich potentials certify the cost: phi(x) + psi(y) is at most the cost of moving x to y.
phi, psi = flow.kantorovich(X_test, Y_test)
cost = 0.5 * ((Y_test[None, :500] - X_test[:500, None]) ** 2).sum(-1)
print(f"phi + psi exceeds the cost by {(phi[:500, None] + psi[None, :500] - cost).max():.3f} at most (cost {cost.mean():.2f})")
print(f"dual value {phi.mean() + psi.mean():.3f}, transport cost {flow.transport_cost_:.3f}")

flow.plot(X_test, Y_test, times=[0.5]).savefig("two_moons.png", dpi=110)
print("look at two_moons.png")
