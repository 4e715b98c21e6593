import os
import signal
import time

import numba
import pyarrow as pa
import pytest

from mlpf.errors import ConfigError, MlpfError
from mlpf.io.workers import TASKS_AHEAD, LocalWorkers, map_in_order


def square_slowly(number):
    time.sleep(0.02 * (number % 3))
    return number**2


def own_process(_):
    time.sleep(0.05)
    return os.getpid(), max(numba.get_num_threads(), pa.cpu_count())


def sees_ctrl_c(_):
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


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


def test_ctrl_c_is_left_to_this_process_from_the_start_of_the_others():
    assert not any(map_in_order(sees_ctrl_c, range(4), 2))
    assert sees_ctrl_c(None)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_task_is_raised_here(jobs):
    results = map_in_order(fail_at_two, range(8), jobs)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ConfigError, match="number 2 is wrong"):
        next(results)


def die_at_first(task):
    """Kill the own process if no process has tried the task before."""
    number, folder = task
    tried = folder / str(number)
    if number % 5 == 0 and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square_slowly(number)


def die_at(number):
    if number in (0, 7):
        os.kill(os.getpid(), signal.SIGKILL)
    return square_slowly(number)


def note_and_wait(task):
    number, folder = task
    (folder / f"{number} {os.getpid()}").touch()
    time.sleep(0.05)
    return number


def processes_of(folder):
    return {int(path.name.split()[1]) for path in folder.iterdir()}


def test_what_a_process_did_that_dies_is_done_again(tmp_path):
    assert list(map_in_order(die_at_first, [(number, tmp_path) for number in range(16)], 3)) == [number**2 for number in range(16)]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_process_killed_from_outside_loses_nothing(tmp_path):
    results = map_in_order(note_and_wait, [(number, tmp_path) for number in range(40)], 2)
    assert next(results) == 0
    killed = processes_of(tmp_path)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    assert list(results) == list(range(1, 40))
    assert processes_of(tmp_path) > killed


def test_a_task_that_kills_its_process_even_alone_is_named():
    results = map_in_order(die_at, [1, 7, 2, 3], 2)
    assert next(results) == 1
    with pytest.raises(MlpfError, match=r"^7: every process that worked on it died, at last with nothing else to do; for lack of memory\?$"):
        list(results)
    with pytest.raises(MlpfError, match=r"Deadly.*: every process that worked on it died"):
        list(map_in_order(abs, [Deadly(), Deadly()], 2))


def test_what_stands_for_a_lost_task_lets_the_others_go_on():
    with LocalWorkers(3) as workers:
        assert list(workers.map_in_order(die_at, range(12), lambda number: -number)) == [n**2 if n not in (0, 7) else -n for n in range(12)]
        assert list(workers.map_in_order(square_slowly, range(4))) == [0, 1, 4, 9]


def test_an_error_where_results_are_used_ends_all_processes_at_once():
    start = time.monotonic()
    with pytest.raises(KeyError), LocalWorkers(2) as workers:
        next(workers.map_in_order(own_process, range(100)))
        for _ in workers.map_in_order(time.sleep, [0, 60, 60, 60]):
            raise KeyError
    assert time.monotonic() - start < 20


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
