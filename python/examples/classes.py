"""Classes to their own: with labels one potential carries every class to its class, even where that is not the nearest way.

Three groups of customers last year and this year, say. The places have turned by a third of a circle: without labels each group goes to its nearest place.

python classes.py          prints who arrives where, draws classes.png; needs charflow[plot]
"""

import matplotlib.pyplot as plt
import numpy as np

from charflow import CharacteristicFlow

rng = np.random.default_rng(0)
names = np.array(["A", "B", "C"])
angle = 2.0 * np.pi * np.arange(3) / 3.0


def groups(n, turned):
    kind = rng.integers(0, 3, n)
    at = angle[kind] + (1.3 if turned else 0.0)
    # Long in the direction of the middle, narrow across.
    along, across = rng.normal(size=n) * 0.5 + 4.0, rng.normal(size=n) * 0.25
    x = np.stack([along * np.cos(at) - across * np.sin(at), along * np.sin(at) + across * np.cos(at)], axis=1)
    return x, names[kind]


(X, x_kind), (Y, y_kind) = groups(4000, False), groups(4000, True)

plain = CharacteristicFlow(steps=800, seed=0).fit(X, Y)
# The labels of the target are known for one point in ten; None stands for the others.
some = np.where(rng.random(len(Y)) < 0.1, y_kind, None)
told = CharacteristicFlow(steps=3000, seed=0).fit(X, Y, x_labels=x_kind, y_labels=some)


def arrived(moved):
    """Share of the points whose nearest point of the target has their class."""
    sample = rng.choice(len(Y), 1500, replace=False)
    nearest = ((moved[:, None] - Y[None, sample]) ** 2).sum(-1).argmin(1)
    return (y_kind[sample][nearest] == x_kind[: len(moved)]).mean()


for title, flow in (("without labels", plain), ("with labels", told)):
    moved = flow.transform(X[:1000])
    cost = 0.5 * ((moved - X[:1000]) ** 2).sum(1).mean()
    print(f"{title:>15}: {arrived(moved):6.1%} arrive at their own class, at a cost of {cost:.2f}")

print("\nclass by class, and what chance alone shows:")
for row in told.evaluate(X, Y, x_labels=x_kind, y_labels=y_kind).to_dict()["by_class"]["classes"]:
    print(f"  {row['class']}: energy distance {row['forward']:.4f} ({row['noise_forward']:.4f}) forward, {row['backward']:.4f} ({row['noise_backward']:.4f}) backward")

figure = told.plot(X, Y, x_labels=x_kind, y_labels=y_kind, times=[0.5])
figure.savefig("classes.png", dpi=110)
plt.close(figure)
print("look at classes.png")
