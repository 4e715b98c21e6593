import os
import time

import numba
import pytest

from mlpf.errors import ConfigError, MlpfError
from mlpf.io.workers import TASKS_AHEAD, map_in_order


def square_slowly(number):
    time.sleep(0.02 * (number % 3))
    return number**2


def own_process(_):
    time.sleep(0.05)
    return os.getpid(), numba.get_num_threads()


def fail_at_two(number):
    if number == 2:
        raise ConfigError("number 2 is wrong")
    return number


class Deadly:
    """A task that kills the process which unpacks it."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_the_order_of_the_tasks(jobs):
    assert list(map_in_order(square_slowly, range(20), jobs)) == [number**2 for number in range(20)]


def test_several_processes_of_one_thread_each_do_the_work_and_one_is_this_one():
    workers = set(map_in_order(own_process, range(60), 2))
    assert len(workers) == 2
    assert os.getpid() not in {process for process, _ in workers}
    assert {threads for _, threads in workers} == {1}
    assert {process for process, _ in map_in_order(own_process, range(3), 1)} == {os.getpid()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_task_is_raised_here(jobs):
    results = map_in_order(fail_at_two, range(8), jobs)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ConfigError, match="number 2 is wrong"):
        next(results)


def test_a_process_that_dies_is_a_clear_error():
    with pytest.raises(MlpfError, match=r"a process died, for lack of memory\? use fewer --jobs"):
        list(map_in_order(abs, [Deadly(), Deadly()], 2))


def test_no_process_stays_where_results_are_no_longer_wanted():
    results = map_in_order(own_process, range(100), 2)
    worker, _ = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_tasks_are_handed_out_only_as_results_are_used():
    class Counted:
        taken = 0

        def __len__(self):
            return 100

        def __iter__(self):
            for number in range(100):
                self.taken += 1
                yield number

    tasks = Counted()
    results = map_in_order(square_slowly, tasks, 2)
    next(results)
    assert tasks.taken <= 2 * TASKS_AHEAD + 1
    results.close()
