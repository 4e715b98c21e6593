"""Kernels on several threads.

Plain threads and kernels that release the GIL, rather than numba's own: a process that has run those under OpenMP cannot fork any more (the workers of a data
loader die), and every kernel would be compiled twice.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_parts(kernel: Callable[..., object], number: int, part: int, threads: int, *arguments: Any) -> None:
    """Run ``kernel(first, last, *arguments)`` over 0 to ``number`` (exclusive).

    Args:
        kernel: ``numba.njit(nogil=True)``; what it writes for one number must not depend on others.
        part: so many numbers at a time, work of half a millisecond or more: handing them to a thread costs about a tenth of that.
        threads: how many work.
    """
    in_ranges(kernel, [*range(0, max(number, 1), part), number], threads, *arguments)


def in_ranges(kernel: Callable[..., object], bounds: Sequence[int], threads: int, *arguments: Any) -> None:
    """As `in_parts`, with given bounds of the parts (P + 1, growing): one call for all where a single thread works."""
    if threads == 1 or len(bounds) == 2:
        kernel(bounds[0], bounds[-1], *arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, first, last, *arguments) for first, last in itertools.pairwise(bounds)]:
            done.result()
