"""Figures of surrogates show what they are given, where it belongs."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from geneq.plots import factors, files, latent, logo, pairs
from geneq.plots.svg import Drawing

USE = re.compile(
    r'<use href="#glyph-(\w+)" transform="matrix\((\d+) 0 0 (-?[\d.]+) (\d+) (-?[\d.]+)'
)


def symbols_of(drawing: Drawing) -> list[tuple[str, int, float, float]]:
    """Symbol, column, height and lower end of all that are drawn, in pixels."""
    left = logo.LEFT + (logo.SIDE if "position" in drawing else 0)
    return [(symbol, (int(x) - left) // logo.COLUMN, -float(height), float(low))
            for symbol, _, height, x, low in USE.findall(drawing)]  # fmt: skip


# --- logos ----------------------------------------------------------------------------------------


def test_symbols_are_as_tall_as_their_effects_the_largest_outermost():
    heights = np.zeros((6, 4))
    heights[2] = [2.0, 1.0, -0.5, -1.0]
    heights[4] = np.nan
    drawn = symbols_of(logo.logo(heights, "ACGT", "name"))
    assert {column for _, column, *_ in drawn} == {2}
    place = {symbol: (height, low) for symbol, _, height, low in drawn}
    scale = place["A"][0] / 2
    for symbol, effect in zip("ACGT", heights[2], strict=True):
        assert place[symbol][0] == pytest.approx(abs(effect) * scale, abs=0.1)
    # In pixels, which run downwards: A stands on C, which stands on 0; G hangs from 0, T from G.
    zero = place["C"][1]
    assert place["A"][1] == pytest.approx(zero - place["C"][0], abs=0.11)
    assert place["G"][1] == pytest.approx(zero + place["G"][0], abs=0.11)
    assert place["T"][1] == pytest.approx(zero + place["G"][0] + place["T"][0], abs=0.11)


def bars(drawing: Drawing) -> list[list[float]]:
    path = re.search(r'<path d="([^"]*)" class="error"', drawing)
    return [[float(number) for number in re.findall(r"-?[\d.]+", bar)]
            for bar in path[1].split("M") if bar]  # fmt: skip


def test_the_error_of_the_largest_symbol_is_at_the_end_of_its_stack():
    heights, errors = np.zeros((3, 4)), np.array([0.5, 0.25, 9.0])
    heights[0], heights[1] = [3.0, -1.0, -1.0, -1.0], [1.0, 1.0, 0.0, -2.0]
    drawing = logo.logo(heights, "ACGT", "name", errors)
    first, second = bars(drawing)  # none where nothing is drawn
    scale = next(height for symbol, *_, height, _ in symbols_of(drawing) if symbol == "A") / 3
    zero = float(re.search(r'd="M\d+ ([\d.]+)H', drawing)[1])
    for (_, high, low), end, error in ((first, 3, 0.5), (second, -2, 0.25)):
        assert high == pytest.approx(zero - (end + error) * scale, abs=0.15)
        assert low == pytest.approx(zero - (end - error) * scale, abs=0.15)


def test_a_huge_error_does_not_hide_the_symbols():
    heights = np.array([[1.0, 0, 0, 0], [0, 0.2, 0, 0]])
    drawing = logo.logo(heights, "ACGT", "name", np.array([0.1, 1e6]))
    assert len(bars(drawing)) == 2
    assert max(height for *_, height, _ in symbols_of(drawing)) > logo.TALL / 4


def test_positions_are_numbered_from_the_first():
    drawing = logo.logo(np.ones((25, 4)), "ACGT", "name", first=1995)
    assert re.findall(r">([\d,]+)</text>", drawing)[-2:] == ["2,000", "2,010"]


@pytest.mark.parametrize(
    ("symbols", "classes"),
    [
        ("ACGT", {"symbol-A", "symbol-C", "symbol-G", "symbol-T"}),
        ("ACGU", {"symbol-A", "symbol-C", "symbol-G", "symbol-U"}),
        ("DKW*", {"amino-acidic", "amino-basic", "amino-hydrophobic", "amino-stop"}),
        ('AB#"', {f"tinted hue-{number}" for number in range(4)}),
    ],
)
def test_a_logo_of_any_alphabet(symbols, classes):
    heights = np.random.default_rng(2).uniform(1, 2, (8, len(symbols)))
    drawing = logo.logo(heights, symbols, "name")
    assert set(re.findall(r'<use [^>]*class="([^"]*)"', drawing)) == classes
    text = files.standalone(drawing, "a <b> & c", symbols)
    root = ElementTree.fromstring(text)
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    links = {element.get("{http://www.w3.org/1999/xlink}href") for element in root.iter()}
    assert links - {None} == {f"#{name}" for name in ids} and len(ids) == len(symbols)
    assert "a <b> & c" in [element.text for element in root.iter()]


def test_a_logo_of_nothing_is_empty():
    for heights in (np.zeros((0, 4)), np.full((3, 4), np.nan)):
        assert symbols_of(logo.logo(heights, "ACGT", "name")) == []


# --- pairs ----------------------------------------------------------------------------------------


def diamonds(drawing: Drawing) -> dict[tuple[float, float], float]:
    """Opacity by (x, upper corner) of every diamond."""
    found = {}
    for path, opacity in re.findall(r'<path d="([^"]*l[^"]*)" class="pos" fill-opacity="([^"]*)"',
                                    drawing):  # fmt: skip
        for corner in re.findall(r"M([\d.]+) (-?[\d.]+)l", path):
            found[float(corner[0]), float(corner[1])] = float(opacity)
    return found


def test_a_triangle_has_a_diamond_for_every_pair_with_an_effect():
    sites = np.array([(i, j) for i in range(10, 15) for j in range(i + 1, 15)])
    strength = np.arange(10.0)  # that of 10 and 11 is 0
    strength[3] = np.nan
    drawn = diamonds(pairs.triangle(sites, strength, 5, "name", start=10))
    assert len(drawn) == 8
    # Diamonds of neighbouring pairs touch: as wide as a position, as tall as two.
    row = sorted(x for x, y in drawn if y == max(y for _, y in drawn))
    assert f"l{(row[1] - row[0]) / 2:.1f} " in pairs.triangle(sites, strength, 5, "name", start=10)
    # The strongest, of 13 and 14, is the darkest, in the lowest row on the right.
    strongest = max(drawn, key=drawn.get)
    assert strongest == max(drawn, key=lambda place: (place[1], place[0]))


def test_a_triangle_shows_the_strongest_pairs_only():
    sites = np.array([(i, j) for i in range(60) for j in range(i + 1, 60)])
    strength = np.random.default_rng(1).random(len(sites))
    assert len(diamonds(pairs.triangle(sites, strength, 60, "name"))) == pairs.PAIRS
    drawn = diamonds(pairs.triangle(sites, strength, 60, "name", most=3))
    assert len(drawn) == 3


def test_a_triangle_without_pairs_is_empty():
    drawing = pairs.triangle(np.empty((0, 2), int), np.empty(0), 4, "name")
    assert diamonds(drawing) == {} and "rect" not in drawing


def test_a_map_of_elements_shows_sums_with_errors_and_marks_what_is_missing():
    values = np.array([[1.0, -2.0], [-2.0, np.nan]])
    errors = np.array([[0.25, np.nan], [np.nan, np.nan]])
    drawing = pairs.element_map(values, errors, ["a", "<b>"], "name")
    for text in ("1", "± 0.2", "−2", "&lt;b&gt;"):
        assert f">{text}<" in drawing
    assert drawing.count('class="neg"') >= 1 and drawing.count('class="pos"') >= 1
    missing = re.search(r'<path d="([^"]*)" class="none"', drawing)[1]
    assert missing.count("M") == 1


def test_a_map_of_two_windows_names_symbols_or_numbers():
    values = np.random.default_rng(1).normal(size=(100, 100))
    drawing = pairs.window_map(values, (2, 5), (7, 9), "ACGTTGCAAC" * 10, "name")
    assert re.findall(r'class="tick end">(\w)<', drawing) == list("GTT")
    assert "position 7 to 8" in drawing and "position 2 to 4" in drawing
    wide = pairs.window_map(values, (0, 50), (50, 100), "A" * 100, "name")
    assert re.findall(r'class="tick mid">(\d+)<', wide) == ["50", "60", "70", "80", "90"]


# --- curves ---------------------------------------------------------------------------------------


def test_a_curve_shows_the_points_evenly_thinned_and_the_band():
    phi = np.linspace(-1, 1, 12_001)
    grid = np.linspace(-1, 1, 5)
    drawing = latent.curve(phi, phi, grid, grid, (grid - 1, grid + 1), "name", most=300)
    path = re.search(r'<path d="([^"]*)" class="dots', drawing)[1]
    dots = np.array(re.findall(r"M([\d.]+) ([\d.]+)h0", path), float)
    assert 250 < len(dots) <= 300
    slope = np.polyfit(dots[:, 0], dots[:, 1], 1)[0]
    np.testing.assert_allclose(dots[:, 1], np.polyval(np.polyfit(*dots.T, 1), dots[:, 0]), atol=0.3)
    assert slope < 0  # pixels run downwards
    points = re.search(r'points="([^"]*)" class="band"', drawing)[1].replace(",", " ")
    band = np.array(points.split(), float).reshape(-1, 2)
    assert len(band) == 10 and band[5:, 1].min() < band[:5, 1].min()
    assert "band" not in latent.curve(phi, phi, grid, grid, None, "name")


def spacings(**columns) -> pd.DataFrame:
    plain = {"motif_1": "A", "motif_2": "B", "sequence_1": "A", "sequence_2": "B",
             "strand_1": "+", "strand_2": ["+", "+", "-", "-"], "spacing": [3, 1, 1, 3],
             "y": [1.0, 2, 0, 1], "se_y": 0.1, "alone": 1.0, "measured": [1.1, 2, 0, 1],
             "se_measured": np.nan}  # fmt: skip
    return pd.DataFrame(plain | columns)


def test_a_panel_for_each_pair_of_motifs_and_a_line_for_each_orientation():
    table = pd.concat([spacings(), spacings(motif_2="C", strand_2="+", spacing=range(4))])
    drawing = factors.spacing_curves(table, "dev")
    assert "A, then B" in drawing and "A, then C" in drawing
    lines = re.findall(r'<polyline points="([^"]*)" class="series (hue-\d)"', drawing)
    assert [hue for _, hue in lines] == ["hue-0", "hue-1", "hue-0"]
    first = np.array(lines[0][0].replace(",", " ").split(), float).reshape(-1, 2)
    assert first[0, 0] < first[1, 0] and first[0, 1] < first[1, 1]  # sorted by spacing; 2, then 1
    assert drawing.count('class="series alone') == 3 and drawing.count('class="series thin') == 3


def test_levels_have_a_panel_for_each_motif_and_absence_is_not_drawn():
    table = pd.DataFrame({
        "motif": ["A", "A", "A", "B"], "sequence": ["", "x", "y", "B"], "start": [-1, 4, 4, 9],
        "strand": ["", "+", "+", "-"], "y": [0.0, 1, 2, 3], "se_y": np.nan,
    })  # fmt: skip
    drawing = factors.level_effects(table, "dev")
    assert "x +" in drawing and "y +" in drawing
    assert len(re.findall(r'<polyline [^>]*class="series hue', drawing)) == 3
    assert drawing.width == 2 * factors.WIDTH


def test_equal_input_gives_equal_bytes():
    heights = np.random.default_rng(1).normal(size=(20, 4))
    one, other = (files.standalone(logo.logo(heights, "ACGT", "n"), "t", "ACGT") for _ in range(2))
    assert one == other
