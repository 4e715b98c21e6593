"""Work shared out among processes, results in the order of the tasks.

A process that dies, by ``kill -9`` or for lack of memory, loses nothing: new ones start, and what was not finished is done again. A task whose process died
twice is done once more, alone; if that one dies, too, it is the task's doing.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import numba
import pyarrow as pa

from mlpf.errors import MlpfError

Task = TypeVar("Task")
Result = TypeVar("Result")
TASKS_AHEAD = 2  # per process, so that results do not pile up where they are used more slowly than made
NO_PROCESS_SURVIVES = "every process that worked on it died, at last with nothing else to do; for lack of memory?"
DEATHS_IN_COMPANY = 2  # of processes at work on a task, after which it is done alone


class Workers(Protocol):
    """Whatever does tasks: processes here (`LocalWorkers`) or elsewhere (`mlpf.io.cluster`)."""

    def map_in_order(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], lost: Callable[[Task], Result] | None = None
    ) -> Generator[Result, None, None]:
        """Results of all tasks, in their order; no more than a few are made ahead of their use.

        Args:
            function: on the top level of a module, as it travels to other processes.
            tasks: arguments, one each; they travel, too. Messages name them by ``str``.
            lost: result of a task which kills every process that works on it; None: an error.

        Raises:
            MlpfError: every process that worked on a task died. What ``function`` raises is raised here.
        """


def map_in_order(function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Generator[Result, None, None]:
    """Results of all tasks, in their order, done by up to ``jobs`` processes of one thread each; by this process alone if one is enough.

    However it ends, by an error, Ctrl-C or because the results are no longer wanted, no process stays behind. See `Workers.map_in_order`.
    """
    with LocalWorkers(min(jobs, len(tasks))) as workers:
        yield from workers.map_in_order(function, tasks)


class _Work(Generic[Task, Result]):
    """A task on its way; ``future`` is None where it has yet to be handed out, or again."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.future: Future[Result] | None = None
        self.deaths = 0

    @property
    def finished(self) -> bool:
        return self.future is not None and self.future.done() and not isinstance(self.future.exception(), BrokenProcessPool)


class LocalWorkers:
    """Processes of one thread each on this machine; use as a context manager, after which none of them is left.

    Args:
        jobs: processes; 1: the tasks are done by this process.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        # spawn: forked children would inherit the thread pools of pyarrow and numba in an unknown state
        self._context = multiprocessing.get_context("spawn")
        self._held_by_workers, self._held_here = self._context.Pipe(duplex=False)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._held_here.close()  # ends all processes, whatever they are doing
        self._stop()
        self._held_here.close()
        self._held_by_workers.close()

    def map_in_order(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], lost: Callable[[Task], Result] | None = None
    ) -> Generator[Result, None, None]:
        """See `Workers.map_in_order`; with one job, a death is that of this process."""
        if self.jobs <= 1:
            yield from map(function, tasks)
            return
        waiting: deque[_Work[Task, Result]] = deque()
        for task in tasks:
            waiting.append(_Work(task))
            self._hand_out(function, waiting)
            if len(waiting) > TASKS_AHEAD * self.jobs:
                yield self._first(function, waiting, lost)
        while waiting:
            yield self._first(function, waiting, lost)

    def _first(self, function: Callable[[Task], Result], waiting: deque[_Work[Task, Result]], lost: Callable[[Task], Result] | None) -> Result:
        """Wait for the result of the first task, and take it from the queue."""
        while True:
            self._hand_out(function, waiting)
            first = waiting[0].future
            if first is not None:
                wait([first])
                if waiting[0].finished:
                    waiting.popleft()
                    return first.result()
            self._recover(function, waiting, lost)

    def _hand_out(self, function: Callable[[Task], Result], waiting: deque[_Work[Task, Result]]) -> None:
        """Give all tasks to the pool that it does not have, as far as it lives."""
        if self._pool is None:
            self._pool = self._start(self.jobs)
        try:
            for work in waiting:
                if work.future is None:
                    with _leaving_ctrl_c_to_parent():
                        work.future = self._pool.submit(function, work.task)
        except BrokenProcessPool:
            pass  # `_first` finds out

    def _recover(self, function: Callable[[Task], Result], waiting: deque[_Work[Task, Result]], lost: Callable[[Task], Result] | None) -> None:
        """After a death: take back what is not finished, and do alone what may be the reason."""
        self._stop()
        unfinished = [work for work in waiting if not work.finished]
        for work in unfinished:
            work.future = None
        for work in unfinished[: self.jobs]:  # tasks are begun in order, so these were in work
            work.deaths += 1
            if work.deaths >= DEATHS_IN_COMPANY:
                work.future = self._do_alone(function, work.task, lost)

    def _do_alone(self, function: Callable[[Task], Result], task: Task, lost: Callable[[Task], Result] | None) -> Future[Result]:
        self._pool = self._start(1)
        with _leaving_ctrl_c_to_parent():
            future = self._pool.submit(function, task)
        wait([future])
        self._stop()
        if isinstance(future.exception(), BrokenProcessPool):
            future = Future()  # so that it comes in its turn
            if lost is None:
                future.set_exception(MlpfError(f"{task}: {NO_PROCESS_SURVIVES}"))
            else:
                future.set_result(lost(task))
        return future

    def _start(self, jobs: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(jobs, self._context, _start_worker, (self._held_by_workers,))

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


@contextmanager
def _leaving_ctrl_c_to_parent() -> Iterator[None]:
    """Processes that start in the block never see Ctrl-C, not even in their imports; for this one it waits until the end of the block."""
    resource_tracker.ensure_running()  # or the first process starts it, which ends the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(pipe: Connection) -> None:
    """End as soon as the parent closes its end of the pipe or dies, be it by kill -9, and keep to one thread."""

    def watch() -> None:
        try:
            pipe.recv()
        except EOFError:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    numba.set_num_threads(1)
    pa.set_cpu_count(1)
