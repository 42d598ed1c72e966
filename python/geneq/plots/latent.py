"""Scores against the latent phenotype, with the fitted curve."""

import numpy as np

from .svg import Drawing, Panel, dots, figure, limits, number, polyline, tag

__all__ = ["curve"]

# Dots in a picture: more make it slow and show no more.
DOTS = 400


def curve(
    phi: np.ndarray,
    y: np.ndarray,
    grid: np.ndarray,
    values: np.ndarray,
    band: tuple[np.ndarray, np.ndarray] | None,
    name: str,
    most: int = DOTS,
) -> Drawing:
    """Scores against the latent phenotype: dots, the fitted curve, and the band of the noise.

    Parameters
    ----------
    phi, y : ndarray
        float64[n], of which at most `most` are shown, evenly spaced.
    grid : ndarray
        float64[m], rising values of φ.
    values : ndarray
        float64[m], the curve at these.
    band : pair of ndarray, optional
        Lower and upper edge at these, float64[m] each.
    name : str
        Description for screen readers.
    most : int
        Number of dots.
    """
    step = max(1, -(-len(phi) // most))
    phi, y = phi[::step], y[::step]
    panel = Panel(limits(grid, 0), limits(np.concatenate([y, values, *(band or ())])))
    marks = [panel.axes("latent phenotype φ", "score")]
    if band is not None:
        x = np.concatenate([grid, grid[::-1]])
        edge = np.concatenate([band[0], band[1][::-1]])
        points = zip(panel.x(x), panel.y(edge), strict=True)
        marks.append(tag("polygon", points=" ".join(f"{number(a)},{number(b)}" for a, b in points),
                         class_="band"))  # fmt: skip
    marks.append(dots(panel.x(phi), panel.y(y), "faint measured"))
    marks.append(polyline(panel.x(grid), panel.y(values), "fitted"))
    return figure(panel.width, panel.height, name, *marks)
