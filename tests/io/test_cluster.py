import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlpf.config import parse_section
from mlpf.errors import ConfigError, MissingDependencyError, MlpfError
from mlpf.io.cluster import ClusterConfig, ClusterWorkers, job_cluster, open_cluster, read_cluster
from mlpf.io.workers import TASKS_AHEAD

LOCAL = ClusterConfig(kind="local", workers=2, memory="1 GB")
FILES = ("local", "address", "htcondor", "slurm")


@pytest.fixture(scope="module")
def workers():
    pytest.importorskip("distributed")
    with open_cluster(LOCAL) as workers:
        yield workers


def square(number):
    return number**2


def fail_at_two(number):
    if number == 2:
        raise ConfigError("number 2 is wrong")
    return number


def die(number):
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_at_first(task):
    number, folder = task
    tried = folder / str(number)
    if number % 6 == 0 and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def surroundings(_):
    import numba

    return str(Path.cwd()), numba.get_num_threads()


@pytest.mark.parametrize("kind", FILES)
def test_a_parameter_file_of_each_kind_is_valid(repository, kind):
    assert read_cluster(repository / "parameters" / f"cluster_{kind}.yaml").kind == kind


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "condor"}, r"p.yaml: cluster: kind: .*'local', 'address', 'htcondor' or 'slurm' \(found 'condor'\)"),
        ({"wokers": 3}, r"unknown key 'wokers'; did you mean 'workers'\?"),
        ({"kind": "address"}, r"an address is given if and only if the kind is 'address'"),
        ({"address": "tcp://127.0.0.1:1"}, r"an address is given if and only if"),
        ({"options": {"queue": "main"}}, r"options are those of HTCondor and Slurm; the kind 'local' takes none"),
        ({"memory": "much"}, r"memory: .*\(found 'much'\)"),
        ({"walltime": "4h"}, r"walltime: .*\(found '4h'\)"),
        ({"workers": 0}, r"workers: .*\(found 0\)"),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        parse_section({"cluster": values}, "cluster", ClusterConfig, "p.yaml")


def test_a_file_without_the_section_is_a_clear_error(tmp_path):
    (tmp_path / "p.yaml").write_text("postprocess: {}")
    with pytest.raises(ConfigError, match=r"p.yaml: has no section 'cluster'; see parameters/cluster_local.yaml"):
        read_cluster(tmp_path / "p.yaml")


@pytest.mark.parametrize(("kind", "module"), [("local", "distributed"), ("slurm", "dask_jobqueue")])
def test_without_dask_the_extra_is_named(monkeypatch, kind, module):
    pytest.importorskip("distributed")
    monkeypatch.setitem(sys.modules, module, None)
    with (
        pytest.raises(MissingDependencyError, match=rf"a cluster needs {module}, which is not installed; pip install 'mlpf\[cluster\]'"),
        open_cluster(ClusterConfig(kind=kind)),
    ):
        pass


def test_dask_is_imported_only_when_it_is_used():
    code = "import sys, mlpf.io.cluster, mlpf.postprocess; print([m for m in sys.modules if m.startswith(('dask', 'distributed'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_results_come_in_the_order_of_the_tasks(workers):
    assert list(workers.map_in_order(square, range(20))) == [number**2 for number in range(20)]
    assert list(workers.map_in_order(square, [])) == []


def test_tasks_see_the_folder_of_the_command_and_one_thread(workers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(workers.map_in_order(surroundings, range(4))) == {(str(tmp_path), 1)}


def test_a_folder_that_workers_do_not_see_is_a_clear_error(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "elsewhere")
    with pytest.raises(MlpfError, match=r"elsewhere: a worker of the cluster cannot enter it \(No such file or directory\)"):
        list(workers.map_in_order(square, [1]))


def test_an_error_in_a_task_is_raised_here(workers):
    results = workers.map_in_order(fail_at_two, range(8))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ConfigError, match="number 2 is wrong"):
        next(results)


def test_what_a_process_did_that_dies_is_done_again(workers, tmp_path):
    assert list(workers.map_in_order(die_at_first, [(number, tmp_path) for number in range(12)])) == list(range(12))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_task_that_kills_its_process_again_and_again_is_named_or_stood_for(workers):
    with pytest.raises(MlpfError, match=r"^-3: every process that worked on it died"):
        list(workers.map_in_order(die, [1, 2, -3]))
    results = workers.map_in_order(die, [1, -2, 3, 4, 5, 6], lambda number: 100 - number)
    assert list(results) == [1, 102, 3, 4, 5, 6]  # and nobody else's, though others waited for the same processes


def test_tasks_are_handed_out_only_as_results_are_used(workers):
    taken = []

    class Counted(list):
        def __iter__(self):
            for number in super().__iter__():
                taken.append(number)
                yield number

    results = workers.map_in_order(square, Counted(range(100)))
    next(results)
    assert len(taken) == TASKS_AHEAD * 2 + 1
    results.close()


def test_a_local_cluster_leaves_no_process_and_no_file_behind(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    import psutil

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with open_cluster(LOCAL) as workers:
        assert list(workers.map_in_order(square, range(3))) == [0, 1, 4]
    started = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not [child for child in started if "resource_tracker" not in " ".join(child.cmdline())]
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_runs_already_is_used_and_left_alone(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", local_directory=str(tmp_path), silence_logs="CRITICAL") as cluster:
        config = ClusterConfig(kind="address", address=cluster.scheduler_address, workers=1)
        for _ in range(2):
            with open_cluster(config) as workers:
                assert isinstance(workers, ClusterWorkers)
                assert list(workers.map_in_order(square, range(5))) == [0, 1, 4, 9, 16]
        assert len(cluster.workers) == 1


def test_a_scheduler_that_is_not_there_is_a_clear_error(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("mlpf.io.cluster.CONNECT_SECONDS", 1)
    with (
        pytest.raises(MlpfError, match=r"cluster: no Dask scheduler answers at 'tcp://127.0.0.1:1'"),
        open_cluster(ClusterConfig(kind="address", address="tcp://127.0.0.1:1")),
    ):
        pass


def script_of(tmp_path, **values):
    pytest.importorskip("dask_jobqueue")
    config = ClusterConfig(workers=64, cores=4, memory="2 GB", disk="3 GB", walltime="02:30:00", log_folder=tmp_path / "logs", **values)
    with job_cluster(config) as cluster:
        return cluster.job_script()


def test_the_job_of_htcondor_asks_for_what_the_file_says(tmp_path):
    script = script_of(tmp_path, kind="htcondor", options={"job_extra_directives": {"getenv": "True"}, "job_script_prologue": ["source venv/bin/activate"]})
    for line in ("MY.DaskWorkerCores = 4", "MY.DaskWorkerMemory = 8000000000", "MY.DaskWorkerDisk = 3000000000", "+MaxRuntime = 9000", "getenv = True"):
        assert line in script.splitlines()
    assert f"LogDirectory = {tmp_path / 'logs'}" in script
    assert f"export NUMBA_NUM_THREADS=1; source venv/bin/activate; {sys.executable} -m distributed.cli.dask_worker" in script
    for option in ("--nthreads 1", "--nworkers 4", "--nanny", "--lifetime 8100s", "--lifetime-stagger 450s"):
        assert option in script


def test_the_job_of_slurm_asks_for_what_the_file_says(tmp_path):
    script = script_of(tmp_path, kind="slurm", options={"queue": "main", "account": "pf"})
    for line in ("#SBATCH --cpus-per-task=4", "#SBATCH --mem=8G", "#SBATCH -t 02:30:00", "#SBATCH -p main", "#SBATCH -A pf", "export NUMBA_NUM_THREADS=1"):
        assert line in script.splitlines()
    assert f"#SBATCH -o {tmp_path / 'logs'}/dask-worker-%J.out" in script
    assert "--nthreads 1" in script
    assert "--nworkers 4" in script


@pytest.mark.filterwarnings("ignore:unclosed cluster:ResourceWarning")  # what Dask has of it, which was never open
@pytest.mark.parametrize("kind", ["htcondor", "slurm"])
def test_an_option_that_jobqueue_does_not_know_is_named(tmp_path, kind):
    with pytest.raises(ConfigError, match=rf"cluster: {kind}: .*unexpected keyword argument 'quue'"):
        script_of(tmp_path, kind=kind, options={"quue": "main"})
    gc.collect()
