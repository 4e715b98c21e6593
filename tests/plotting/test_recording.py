import io
import re

import matplotlib.image
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from mlpf.errors import MlpfError
from mlpf.plotting.recording import PNG_DOTS_PER_INCH, record, save_figure
from mlpf.plotting.style import style


def make_figure():
    with style():
        figure = Figure(figsize=(4, 3))
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.6))
        axes.plot([1, 2, 3], [0.025, 0.5, 0.75], "o-", color="#5790fc", gid="system:a")
        axes.plot([1, 2, 9], [0.7, 0.2, 0.1], "s", color="#ff5e02", markerfacecolor="none")
        axes.stairs([0.1, 0.2], [1, 2, 3], fill=True, color="#717581")
        axes.add_collection(PolyCollection([[(1, 0), (1.5, 0.3), (2, 0)]], facecolors=["#00ff0080"]))
        axes.set_xlim(0.5, 3.5)
        axes.set_xlabel(r"$p_\mathrm{T}$ [GeV]")
        axes.set_title("0.123456", loc="right")
        return figure


def pixels_of(png):
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


def test_the_png_is_that_of_matplotlib():
    usual = io.BytesIO()
    make_figure().savefig(usual, format="png", dpi=PNG_DOTS_PER_INCH)
    expected, found = pixels_of(usual.getvalue()), pixels_of(record(make_figure()).as_png())
    assert found.shape == expected.shape == (360, 480, 3)
    # texts are measured at another resolution, lines snap to other pixels: compare what blocks of 10 x 10 pixels hold
    blocks = [picture.reshape(36, 10, 48, 10, 3).mean(axis=(1, 3)) for picture in (found, expected)]
    assert np.abs(blocks[0] - blocks[1]).mean() < 0.01
    assert np.abs(blocks[0] - blocks[1]).max() < 0.35


def test_the_svg_has_the_same_lines_and_texts_as_that_of_matplotlib():
    usual = io.StringIO()
    with style():
        make_figure().savefig(usual, format="svg", transparent=True)
        own = record(make_figure()).as_svg().decode()
    for pattern in (r"<use ", r"<text ", r"stroke: #5790fc", r"fill: #717581", r"fill-opacity"):
        assert bool(re.findall(pattern, own)) == bool(re.findall(pattern, usual.getvalue())), pattern
    assert len(re.findall("<text ", own)) == len(re.findall("<text ", usual.getvalue()))
    assert ">0.123456<" in own  # numbers in texts keep their digits
    assert not re.search(r' (?:d|x|y)="[^"]*\.\d{3}', own)
    assert len(own) < 0.75 * len(usual.getvalue())


def test_only_groups_with_an_id_are_kept():
    with style():
        svg = record(make_figure()).as_svg().decode()
    assert re.findall(r'<g id="([^"]*)"', svg) == ["system:a"]
    assert svg.count("<g") == svg.count("</g>")


def test_vector_formats_have_no_background():
    with style():
        svg = record(make_figure()).as_svg().decode()
    assert "fill: #ffffff" not in svg


def test_the_same_figure_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        with style():
            save_figure(make_figure(), tmp_path, name)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{suffix}" for name in "ab" for suffix in ("png", "svg", "pdf")}
    for suffix in ("png", "svg", "pdf"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with style(), pytest.raises(MlpfError, match="file"):
        save_figure(make_figure(), tmp_path / "file", "a")
