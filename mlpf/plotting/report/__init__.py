"""One self-contained page with the numbers and figures of an evaluation: works offline, without scripts, in light and dark, on paper."""

from mlpf.plotting.report.page import write_report

__all__ = ["write_report"]
