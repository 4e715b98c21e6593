"""Figures as files; travels to other processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from mlpf.plotting.columns.config import Log, Normalise
from mlpf.plotting.columns.figures import Described, Drawn, draw_column
from mlpf.plotting.columns.histograms import Histogram, PairHistogram
from mlpf.plotting.columns.pair_figures import draw_pair
from mlpf.plotting.style import style

DPI = 110
NO_DATE: dict[str, dict[str, None]] = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}  # equal figures give equal files


@dataclass(frozen=True)
class DrawTask:
    """One figure to draw.

    Attributes:
        columns: one or two.
        counted: what to draw of each sample.
        folder: where to.
        file_format: of the file; a PNG is made in any case.
    """

    columns: tuple[Described, ...]
    counted: Mapping[Drawn, Histogram] | Mapping[Drawn, PairHistogram]
    normalise: Normalise
    weighted: bool
    log: Log
    folder: Path
    file_format: str

    def __str__(self) -> str:
        return f"figure of {self.stem}"

    @property
    def stem(self) -> str:
        """Name of the files without suffix."""
        return "__".join(column.name for column in self.columns)

    @property
    def image(self) -> str:
        """Name of the PNG."""
        return f"{self.stem}.png"

    @property
    def file(self) -> str:
        """Name of the file that was asked for."""
        return f"{self.stem}.{self.file_format}"

    def figure(self) -> Figure:
        """Draw; call inside `style`."""
        histograms = {drawn: histogram for drawn, histogram in self.counted.items() if isinstance(histogram, Histogram)}
        if histograms:
            return draw_column(self.columns[0], histograms, self.normalise, self.weighted, self.log)
        pairs = {drawn: pair for drawn, pair in self.counted.items() if isinstance(pair, PairHistogram)}
        return draw_pair(self.columns[0], self.columns[1], pairs, self.normalise, self.weighted, self.log)


def draw(task: DrawTask) -> None:
    """Write the files of a figure."""
    with style():
        figure = task.figure()
        for name in dict.fromkeys((task.image, task.file)):
            figure.savefig(task.folder / name, dpi=DPI, metadata=NO_DATE[Path(name).suffix])
