"""Colours of one picture for another: pictures are clouds of colours, and the map between them is the cheapest recolouring.

The two pictures are painted here, a lake at noon and at dusk; with pictures of your own load arrays of shape (height, width, 3) with values in [0, 1].

python colours.py          prints how near the colours are, draws colours.png; needs charflow[plot]
"""

import matplotlib.pyplot as plt
import numpy as np

from charflow import CharacteristicFlow


def lake(sky, glow, land, water, seed):
    """A sky with a sun, hills and their mirror image."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:160, 0:240] / 160.0
    hills = 0.45 - 0.12 * np.sin(3.0 * x + seed) - 0.05 * np.sin(9.0 * x)
    sun = np.exp(-8.0 * ((x - 1.1) ** 2 + (y - 0.2) ** 2))[..., None]
    picture = (1 - y[..., None]) * sky[0] + y[..., None] * sky[1]
    picture = (1 - sun) * picture + sun * glow
    shade = 0.8 + 0.4 * np.sin(40 * x + 30 * y)[..., None] * 0.2
    picture = np.where((y > hills)[..., None], land * shade, picture)
    ripple = 0.5 + 0.5 * np.sin(90 * y + 4 * np.sin(12 * x))[..., None]
    picture = np.where((y > 0.62)[..., None], water * (0.8 + 0.3 * ripple), picture)
    return np.clip(picture + 0.02 * rng.normal(size=picture.shape), 0.0, 1.0)


rgb = lambda *v: np.array(v) / 255.0
noon = lake((rgb(70, 130, 220), rgb(190, 220, 250)), rgb(255, 250, 220), rgb(60, 120, 50), rgb(40, 110, 160), 1)
dusk = lake((rgb(50, 40, 90), rgb(240, 130, 80)), rgb(255, 220, 130), rgb(40, 30, 40), rgb(150, 80, 90), 2)

# A pixel is a point of [0, 1]^3: the clouds have 38,400 points each.
X, Y = noon.reshape(-1, 3), dusk.reshape(-1, 3)
flow = CharacteristicFlow(preset="color", effort="quick", seed=0).fit(X, Y)
print(flow.certificate_.sentence + ".\n")

noon_at_dusk = np.clip(flow.transform(X), 0.0, 1.0)
dusk_at_noon = np.clip(flow.inverse_transform(Y), 0.0, 1.0)
between = np.clip(flow.interpolate(X, t=0.5), 0.0, 1.0)


def intersection(a, b):
    """Overlap of the histograms of the three channels, 1 where they are the same."""
    return np.mean([np.minimum(*(np.histogram(p[:, k], 64, (0, 1))[0] / len(p) for p in (a, b))).sum() for k in range(3)])


print(f"histograms of noon and dusk overlap by {intersection(X, Y):.2f}, of noon recoloured and dusk by {intersection(noon_at_dusk, Y):.2f}")
print(f"and back again: {np.abs(flow.inverse_transform(flow.transform(X)) - X).mean() * 255:.2f} of 255 levels from the original in the mean")

panels = {"noon": X, "dusk": Y, "half way": between, "noon, in dusk's colours": noon_at_dusk, "dusk, in noon's colours": dusk_at_noon}
figure, axes = plt.subplots(1, 5, figsize=(20, 3), layout="constrained")
for ax, (title, pixels) in zip(axes, panels.items()):
    ax.imshow(pixels.reshape(noon.shape))
    ax.set(title=title, xticks=[], yticks=[])
figure.savefig("colours.png", dpi=110)
print("look at colours.png")
