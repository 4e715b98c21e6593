"""Work shared out among processes, results in the order of the tasks."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TypeVar

import numba

from mlpf.errors import MlpfError

Task = TypeVar("Task")
Result = TypeVar("Result")
TASKS_AHEAD = 2  # per process, so that results do not pile up where they are used more slowly than made


def map_in_order(function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Generator[Result, None, None]:
    """Results of all tasks, in their order, done by up to ``jobs`` processes of one thread each; by this process alone if one is enough.

    However it ends, by an error, Ctrl-C or because the results are no longer wanted, no process stays behind.

    Args:
        function: on the top level of a module, as it travels to other processes.
        tasks: arguments, one each; they travel, too.
        jobs: processes.

    Raises:
        MlpfError: a process died. What ``function`` raises is raised here.
    """
    jobs = min(jobs, len(tasks))
    if jobs <= 1:
        yield from map(function, tasks)
        return
    # spawn: forked children would inherit the thread pools of pyarrow and numba in an unknown state
    context = multiprocessing.get_context("spawn")
    held_by_workers, held_here = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (held_by_workers,))
    pending: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(function, task))
            if len(pending) > TASKS_AHEAD * jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise MlpfError("a process died, for lack of memory? use fewer --jobs") from error
    except BaseException:
        held_here.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(pipe: Connection) -> None:
    """Leave Ctrl-C to the parent, end as soon as it closes its end of the pipe or dies, be it by kill -9, and keep to one thread."""

    def watch() -> None:
        try:
            pipe.recv()
        except EOFError:
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
    numba.set_num_threads(1)
