"""Work shared among threads."""

import threading

import numba
import numpy as np
import pytest

from mlpf.classical.threads import in_parts, in_ranges


@numba.njit(nogil=True)
def add_one(first, last, values):
    for k in range(first, last):
        values[k] += 1


@pytest.mark.parametrize(("number", "part", "threads"), [(0, 5, 2), (4, 5, 2), (5, 5, 2), (23, 5, 1), (23, 5, 2), (1000, 1, 4)])
def test_every_number_is_worked_on_once(number, part, threads):
    values = np.zeros(number)
    in_parts(add_one, number, part, threads, values)
    assert values.tolist() == [1] * number


@pytest.mark.parametrize("threads", [1, 3])
def test_given_ranges_are_worked_on_once_empty_ones_included(threads):
    values = np.zeros(9)
    in_ranges(add_one, [2, 2, 3, 8], threads, values)
    assert values.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0]


def test_an_error_in_a_thread_reaches_the_caller():
    def fail(first, last):
        if first <= 7 < last:
            raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        in_parts(fail, 20, 5, 2)


def test_no_thread_stays_behind():
    before = threading.active_count()
    in_parts(add_one, 100, 5, 3, np.zeros(100))
    assert threading.active_count() == before
