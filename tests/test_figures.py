"""Figures of a locus show what they are given, where it lies."""

import io

import numpy as np
import pytest

from geneq.plots import figures


def written(figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="svg")
    return out.getvalue()


def heights(axes) -> np.ndarray:
    """Extents of symbols: (left, bottom, right, top), in the order they were drawn."""
    return np.array([patch.get_path().get_extents().extents for patch in axes.patches])


def test_a_logo_stacks_centred_effects_at_their_positions():
    effects = np.zeros((6, 4))
    effects[2] = [3.0, 0.0, 0.0, 1.0]  # the mean, 1, is removed: 2, -1, -1, 0
    effects[4] = np.nan
    axes = figures.logo(effects, start=100).axes[0]
    drawn = heights(axes)
    at = drawn[np.abs(drawn[:, 3] - drawn[:, 1]) > 1e-9]
    assert ((at[:, [0, 2]] > 101.5) & (at[:, [0, 2]] < 102.5)).all()
    assert at[:, 3].max() == pytest.approx(2) and at[:, 1].min() == pytest.approx(-2)


def test_a_logo_shows_the_error_of_the_largest_symbol_at_the_end_of_its_stack():
    effects, errors = np.zeros((4, 4)), np.full((4, 4), 9.0)
    effects[1], errors[1, 0] = [3.0, -1.0, -1.0, -1.0], 0.5
    effects[2], errors[2, 3] = [1.0, 1.0, 0.0, -2.0], 0.25
    (bars,) = figures.logo(effects, start=10, errors=errors).axes[0].collections
    drawn = {tuple(segment[0]) + tuple(segment[1]) for segment in bars.get_segments()}
    assert drawn == {(11, 2.5, 11, 3.5), (12, -2.25, 12, -1.75)}


@pytest.mark.parametrize("alphabet", ["dna", "rna", "protein", "symbols:AB"])
def test_a_logo_of_any_alphabet(alphabet):
    size = {"dna": 4, "rna": 4, "protein": 20, "symbols:AB": 2}[alphabet]
    assert b"<svg" in written(
        figures.logo(np.random.default_rng(2).normal(size=(8, size)), alphabet)
    )


def test_a_triangle_has_a_square_for_every_pair_that_is_known():
    strength = np.arange(25.0).reshape(5, 5)
    strength[0, 3] = np.nan
    shown = figures.pair_triangle(strength, start=10).axes[0].collections[0]
    centres = np.array([path.vertices[:4].mean(axis=0) for path in shown.get_paths()])
    assert len(centres) == 10 - 1
    at = np.flatnonzero((centres == [12.5, 3]).all(axis=1))  # 11 and 14
    assert shown.get_array()[at].tolist() == [strength[1, 4]]
    assert shown.get_clim() == (0, 19)


def test_a_triangle_with_negative_values_is_symmetric_about_0():
    shown = figures.pair_triangle(np.array([[0, -3.0], [9, 0]])).axes[0].collections[0]
    assert (shown.norm.vmin, shown.norm.vcenter, shown.norm.vmax) == (-3, 0, 3)


def test_nothing_known_makes_an_empty_triangle():
    assert b"<svg" in written(figures.pair_triangle(np.full((4, 4), np.nan)))


def test_curve_and_agreement_show_the_points_evenly_thinned():
    phi = np.linspace(-1, 1, 12_001)
    grid = np.linspace(-1, 1, 5)
    figure = figures.latent_curve(phi, phi**3, grid, grid**3, (grid**3 - 1, grid**3 + 1))
    band, points = sorted(figure.axes[0].collections, key=lambda c: len(c.get_offsets()))
    offsets = points.get_offsets()
    assert len(offsets) <= figures.POINTS and np.allclose(offsets[:, 1], offsets[:, 0] ** 3)
    assert band.get_datalim(figure.axes[0].transData).y1 == pytest.approx(2)
    (line,) = figures.agreement(phi, phi * 2).axes[0].lines
    assert line.get_xydata().tolist() == [[-2, -2], [2, 2]]
