"""Kernels on several threads.

Plain threads and kernels that release the GIL, rather than numba's own: a process that has run those under OpenMP cannot fork any more (the workers of a data
loader die), and every kernel would be compiled twice.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_parts(kernel: Callable[..., object], number: int, part: int, threads: int, *arguments: Any) -> None:
    """Run ``kernel(first, last, *arguments)`` over 0 to ``number`` (exclusive).

    Args:
        kernel: ``numba.njit(nogil=True)``; what it writes for one number must not depend on others.
        part: at least so many numbers at a time, work of half a millisecond or more: handing them to a thread costs about a tenth of that.
        threads: how many work.
    """
    if threads == 1 or number <= part:
        kernel(0, number, *arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, first, min(first + part, number), *arguments) for first in range(0, number, part)]:
            done.result()
