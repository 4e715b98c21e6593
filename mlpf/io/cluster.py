"""Workers on a cluster, by Dask: processes here, those of a scheduler that runs somewhere, or jobs of HTCondor or Slurm.

They read inputs and write outputs themselves, so all must see the same file system under the same names; only small results travel. The section ``cluster``
of a parameter file says what there is:

    cluster: {kind: slurm, workers: 64, memory: 2 GB, walltime: "04:00:00", options: {queue: main}}
"""

import os
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic

from mlpf.config import Config, load_parameters, parse_section
from mlpf.errors import ConfigError, MissingDependencyError, MlpfError
from mlpf.io.workers import NO_PROCESS_SURVIVES, TASKS_AHEAD, Result, Task

if TYPE_CHECKING:
    from dask_jobqueue import HTCondorCluster, SLURMCluster
    from distributed import Client, Future

Size = Annotated[str, pydantic.Field(pattern=r"^\d+(\.\d+)? ?[kMGT]i?B$")]
ANY_PORT = ":0"  # Dask insists on a port for its web page; a fixed one would be taken by the next command

CONNECT_SECONDS = 20
ONE_THREAD = {"NUMBA_NUM_THREADS": "1"}  # Dask sees to those of OpenMP, MKL and OpenBLAS


class ClusterConfig(Config):
    """Section ``cluster`` of a parameter file."""

    kind: Literal["local", "address", "htcondor", "slurm"] = "local"
    """``local``: processes on this machine; ``address``: a Dask scheduler that runs already; ``htcondor``, ``slurm``: jobs that this command submits."""
    workers: int = pydantic.Field(default=2, ge=1)
    """Processes of one thread each; for ``address``: how many to keep busy."""
    cores: int = pydantic.Field(default=1, ge=1)
    """Processes of one job."""
    memory: Size = "2 GB"
    """Memory of one process, which starts again when it needs more."""
    disk: Size = "1 GB"
    """Local disk of one job (HTCondor); little is written there."""
    walltime: str = pydantic.Field(default="04:00:00", pattern=r"^\d+:[0-5]\d:[0-5]\d$")
    """Longest time of one job, hours:minutes:seconds; jobs that end are followed by new ones."""
    address: str = ""
    """Of the scheduler, for example ``tcp://10.0.0.1:8786``."""
    log_folder: Path = Path("cluster_logs")
    """What the jobs print."""
    options: dict[str, Any] = {}
    """Further arguments of dask_jobqueue's HTCondorCluster or SLURMCluster, for example ``queue``, ``account``, ``job_extra_directives``."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "ClusterConfig":
        if (self.kind == "address") != bool(self.address):
            raise ValueError("an address is given if and only if the kind is 'address'")
        if self.options and self.kind not in ("htcondor", "slurm"):
            raise ValueError(f"options are those of HTCondor and Slurm; the kind '{self.kind}' takes none")
        return self


def read_cluster(path: str | Path) -> ClusterConfig:
    """The section ``cluster`` of a parameter file.

    Raises:
        ConfigError: the file cannot be read, or has no such section.
    """
    parameters = load_parameters(path)
    if "cluster" not in parameters:
        raise ConfigError(f"{path}: has no section 'cluster'; see parameters/cluster_local.yaml")
    return parse_section(parameters, "cluster", ClusterConfig, path)


class ClusterWorkers:
    """Processes of a Dask cluster, as `mlpf.io.workers.Workers`.

    What a process did that dies is done again elsewhere. Dask gives up a task when more than its ``allowed-failures`` (3) processes died that had it, be it in
    a queue behind another; such a task is given to them once more, alone.

    Args:
        client: of the cluster.
        workers: processes to keep busy.
    """

    def __init__(self, client: "Client", workers: int) -> None:
        self.client = client
        self.workers = workers

    def map_in_order(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], lost: Callable[[Task], Result] | None = None
    ) -> Generator[Result, None, None]:
        """See `mlpf.io.workers.Workers.map_in_order`."""
        waiting: deque[tuple[Task, Future]] = deque()
        for task in tasks:
            waiting.append((task, self._submit(function, task)))
            if len(waiting) > TASKS_AHEAD * self.workers:
                yield self._first(function, waiting, lost)
        while waiting:
            yield self._first(function, waiting, lost)

    def _submit(self, function: Callable[[Task], Result], task: Task) -> "Future":
        return self.client.submit(_do, function, task, Path.cwd(), pure=False)

    def _first(self, function: Callable[[Task], Result], waiting: "deque[tuple[Task, Future]]", lost: Callable[[Task], Result] | None) -> Result:
        """Wait for the result of the first task, and take it from the queue."""
        from distributed.scheduler import KilledWorker

        task, future = waiting.popleft()
        try:
            try:
                return future.result()
            except KilledWorker:
                for _, other in waiting:
                    other.exception()  # waits for its end
                return self._submit(function, task).result()
        except KilledWorker as error:
            if lost is None:
                raise MlpfError(f"{task}: {NO_PROCESS_SURVIVES}") from error
            return lost(task)
        except CancelledError as error:
            raise MlpfError("the connection to the cluster was lost; the same command goes on from here") from error


def _do(function: Callable[[Task], Result], task: Task, folder: Path) -> Result:
    """Do a task in the folder of the command, as paths may be relative."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise MlpfError(f"{folder}: a worker of the cluster cannot enter it ({error.strerror}); workers must see the same file system") from error
    return function(task)


@contextmanager
def open_cluster(config: ClusterConfig) -> Iterator[ClusterWorkers]:
    """Workers of a cluster, which ends with the block; one given by its address stays."""
    with open_client(config) as client:
        yield ClusterWorkers(client, config.workers)


@contextmanager
def open_client(config: ClusterConfig) -> Iterator["Client"]:
    """A client of the cluster, see `open_cluster`.

    Raises:
        MissingDependencyError: Dask is not installed.
        ConfigError: dask_jobqueue refuses the options.
        MlpfError: no scheduler at the address.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlpf-dask-", ignore_cleanup_errors=True))
        stack.enter_context(dask.config.set(temporary_directory=folder))
        cluster: Any = config.address
        if config.kind == "local":
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=config.workers,
                    threads_per_worker=1,
                    memory_limit=config.memory,
                    dashboard_address=ANY_PORT,
                    silence_logs="CRITICAL",
                    preload=__name__,
                    env=ONE_THREAD,
                )
            )
        elif config.kind != "address":
            cluster = stack.enter_context(job_cluster(config))
            cluster.adapt(minimum=config.workers, maximum=config.workers)  # unlike scale, it submits again what ended
        try:
            client = stack.enter_context(Client(cluster, set_as_default=False, timeout=CONNECT_SECONDS))
        except (OSError, ValueError) as error:
            raise MlpfError(f"cluster: no Dask scheduler answers at '{config.address}' ({error})") from error
        yield client


def dask_setup(_worker: object) -> None:
    """Called by Dask at the start of each process of a local cluster: leave Ctrl-C, which reaches all, to the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def job_cluster(config: ClusterConfig) -> "HTCondorCluster | SLURMCluster":
    """A cluster of jobs, none of which is submitted yet; ``job_script()`` tells how they would be.

    Raises:
        MissingDependencyError: dask_jobqueue is not installed.
        ConfigError: it refuses the options.
    """
    try:
        from dask.utils import parse_bytes
        from dask_jobqueue import HTCondorCluster, SLURMCluster
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    options = dict(config.options)
    hours, minutes, seconds = map(int, config.walltime.split(":"))
    total = 3600 * hours + 60 * minutes + seconds
    common: dict[str, Any] = {
        "cores": config.cores,
        "processes": config.cores,
        "memory": config.cores * parse_bytes(config.memory),
        "log_directory": str(config.log_folder.absolute()),
        "scheduler_options": {"dashboard_address": ANY_PORT, **options.pop("scheduler_options", {})},
        "job_script_prologue": [*(f"export {name}={value}" for name, value in ONE_THREAD.items()), *options.pop("job_script_prologue", [])],
        # Stopping in time, at slightly different times, is cheaper than being stopped.
        "worker_extra_args": ["--lifetime", f"{int(0.9 * total)}s", "--lifetime-stagger", f"{int(0.05 * total)}s", *options.pop("worker_extra_args", [])],
    }
    try:
        if config.kind == "slurm":
            return SLURMCluster(**{**common, "walltime": config.walltime, **options})
        extra = {"+MaxRuntime": str(total), **options.pop("job_extra_directives", {})}  # CERN's name for it; others ignore it
        return HTCondorCluster(**{**common, "disk": config.disk, "job_extra_directives": extra, **options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"cluster: {config.kind}: {' '.join(str(error).split())[:300]}") from error


def _missing(error: ModuleNotFoundError) -> MissingDependencyError:
    return MissingDependencyError(f"a cluster needs {error.name}, which is not installed; pip install 'mlpf[cluster]'")
