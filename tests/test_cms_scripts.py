"""The scripts of the CMS chain, run with a CMSSW, an XRootD and a CRAB that are fake; and docs/cms.md, whose commands and files must exist."""

import os
import random
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from mlpf.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts/cms"
DOCUMENT = ROOT / "docs/cms.md"
SHELL_SCRIPTS = sorted([*SCRIPTS.glob("*.sh"), *SCRIPTS.glob("*.slurm")])
JOB_FILES = sorted([*SHELL_SCRIPTS, *SCRIPTS.glob("*.sub"), *SCRIPTS.glob("*.py")])


# --- what can be checked without running anything


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_parse(script):
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_shell_scripts_satisfy_shellcheck():
    subprocess.run(["shellcheck", "-x", *SHELL_SCRIPTS], check=True)


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_python_configurations_compile(script):
    compile(script.read_text(), str(script), "exec")


@pytest.mark.parametrize("submit_file", sorted(SCRIPTS.glob("*.sub")), ids=lambda path: path.name)
def test_submit_files_name_scripts_that_exist_and_can_be_run(submit_file):
    commands = dict(re.findall(r"^(\w+)\s*=\s*(.*)$", submit_file.read_text(), re.MULTILINE))
    assert os.access(ROOT / commands["executable"], os.X_OK)
    transferred = [name.strip() for name in commands.get("transfer_input_files", "").split(",") if "$(" not in name]
    assert all((ROOT / name).is_file() for name in transferred if name)


# --- the job


CMSRUN = """#!/usr/bin/env bash
# cmsRun: the first step prints what it was given, the second writes the ntuple
config="${@: -1}"
grep -q BROKEN "$config" && { echo "fatal exception" >&2; exit 65; }
if [[ "$config" == *reco* ]]; then tail -n 1 gensim_digi_job_cfg.py > pfntuple.root; else cp "$config" step2.root; fi
"""
XRDFS = """#!/usr/bin/env bash
# xrdfs HOST COMMAND ...: host/path is a folder below $STORAGE
cd "$STORAGE/$1" || exit 50
case "$2" in
  stat) [[ -e ".$3" ]] ;;
  ls) [[ -d ".$3" ]] && for f in ".$3"/*; do echo "${f#.}"; done ;;
  mkdir) mkdir -p ".$4" ;;
  mv) mv ".$3" ".$4" ;;
esac
"""
XRDCP = """#!/usr/bin/env bash
# xrdcp OPTION... FILE root://HOST//PATH; fails as often as there are lines in $FAILURES
source="${@: -2:1}" target="${@: -1}"
if [[ -s "$FAILURES" ]]; then sed -i 1d "$FAILURES"; head -c 3 "$source" > "$STORAGE/${target#root://}"; exit 54; fi
cp "$source" "$STORAGE/${target#root://}"
"""


class Site:
    """A worker node: fake programs, a release area, configurations, storage behind ``root://host//``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.area, self.configs, self.storage = folder / "CMSSW_0_0_0", folder / "configs", folder / "storage"
        for path in (self.area / "src", self.configs, self.storage / "host", folder / "bin", folder / "tmp"):
            path.mkdir(parents=True)
        for name, text in {"cmsRun": CMSRUN, "xrdfs": XRDFS, "xrdcp": XRDCP, "scramv1": "#!/bin/sh\necho export IN_RELEASE=1\n"}.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        (folder / "cmsset.sh").write_text("")
        (folder / "failures").write_text("")
        for name in ("gensim_digi_cfg.py", "reco_ntuple_cfg.py"):
            (self.configs / name).write_text("# a configuration\n")

    def run(self, script: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "TMPDIR": str(self.folder / "tmp"),
            "CMSSET": str(self.folder / "cmsset.sh"),
            "STORAGE": str(self.storage),
            "FAILURES": str(self.folder / "failures"),
            "STORE_WAIT": "0",
        }
        command = ["bash", str(SCRIPTS / script), *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=cwd or self.folder, capture_output=True, text=True, check=False)

    def job(self, seed: int, destination: object, events: int = 20) -> subprocess.CompletedProcess[str]:
        return self.run("ntuple_job.sh", seed, events, self.area, self.configs, destination)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(params=["folder", "xrootd"])
def destination(request: pytest.FixtureRequest, site: Site) -> tuple[str, Path]:
    """What the job is given, and the folder where the files then lie."""
    if request.param == "folder":
        return str(site.folder / "out/ttbar"), site.folder / "out/ttbar"
    return "root://host//eos/ttbar", site.storage / "host/eos/ttbar"


def test_a_job_stores_the_ntuple_of_its_seed_under_its_final_name_and_cleans_up(site, destination):
    url, folder = destination
    done = site.job(7, url)
    assert done.returncode == 0, done.stderr
    assert (folder / "pfntuple_7.root").read_text() == "set_job(process, 7, 20)\n"
    assert [path.name for path in folder.iterdir()] == ["pfntuple_7.root"]
    assert not list((site.folder / "tmp").iterdir())


def test_a_job_whose_ntuple_exists_does_nothing(site, destination):
    url, folder = destination
    folder.mkdir(parents=True)
    (folder / "pfntuple_7.root").write_text("older")
    done = site.job(7, url)
    assert done.returncode == 0
    assert "exists" in done.stdout
    assert (folder / "pfntuple_7.root").read_text() == "older"


@pytest.mark.parametrize("broken", ["gensim_digi_cfg.py", "reco_ntuple_cfg.py"])
def test_a_job_whose_cmsrun_fails_stores_nothing_and_fails(site, destination, broken):
    url, folder = destination
    (site.configs / broken).write_text("# BROKEN\n")
    assert site.job(7, url).returncode != 0
    assert not folder.exists()
    assert not list((site.folder / "tmp").iterdir())


def test_a_job_without_the_analyzer_in_its_configuration_says_so(site):
    (site.folder / "bin/cmsRun").write_text("#!/bin/sh\nexit 0\n")
    done = site.job(7, site.folder / "out")
    assert done.returncode == 1
    assert "does not schedule PFAnalysis" in done.stderr
    assert not (site.folder / "out").exists()


def test_a_copy_that_fails_twice_is_tried_again(site):
    (site.folder / "failures").write_text("1\n2\n")
    done = site.job(7, "root://host//eos")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("failed, attempt") == 2
    assert (site.storage / "host/eos/pfntuple_7.root").read_text() == "set_job(process, 7, 20)\n"


def test_a_copy_that_always_fails_ends_the_job_without_a_file_under_the_final_name(site):
    (site.folder / "failures").write_text("1\n2\n3\n")
    assert site.job(7, "root://host//eos").returncode == 1
    assert not [path for path in (site.storage / "host/eos").iterdir() if path.suffix == ".root"]


def test_missing_seeds_are_those_without_a_finished_ntuple(site, destination):
    url, folder = destination
    folder.mkdir(parents=True)
    for name in ("pfntuple_9.root", "pfntuple_11.root", "pfntuple_10.root.node.1.part", "other_8.root"):
        (folder / name).write_text("")
    done = site.run("missing_seeds.sh", 8, 12, url)
    assert done.stdout.split() == ["8", "10", "12"]
    assert done.returncode == 0


def test_all_seeds_are_missing_where_nothing_was_stored_yet_and_it_says_so(site, destination):
    done = site.run("missing_seeds.sh", 98, 101, destination[0])
    assert done.stdout.split() == ["98", "99", "100", "101"]
    assert "cannot list" in done.stderr


@pytest.mark.parametrize("script", ["make_configs.sh", "ntuple_chain.sh", "ntuple_job.sh", "missing_seeds.sh", "postprocess_job.sh"])
def test_scripts_without_arguments_say_how_to_use_them(site, script):
    done = site.run(script)
    assert done.returncode == 2
    assert f"Usage: {script}" in done.stderr


def test_a_slurm_task_runs_the_seed_of_its_line(site):
    text = (SCRIPTS / "ntuples.slurm").read_text()
    for name, value in {"cmssw_area": site.area, "configs": site.configs, "destination": site.folder / "out"}.items():
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    (site.folder / "scripts").symlink_to(ROOT / "scripts")
    (site.folder / "task.slurm").write_text(text)
    (site.folder / "seeds.txt").write_text("5\n6\n")
    environment = {
        "PATH": f"{site.folder / 'bin'}:{os.environ['PATH']}",
        "CMSSET": str(site.folder / "cmsset.sh"),
        "CMS_CONTAINER": "",
        "SLURM_ARRAY_TASK_ID": "2",
    }
    subprocess.run(["bash", "task.slurm"], cwd=site.folder, env=environment, check=True, capture_output=True)
    assert (site.folder / "out/pfntuple_6.root").read_text() == "set_job(process, 6, 50)\n"


def test_a_crab_job_runs_the_chain_with_a_seed_of_its_own(site):
    for name in ("ntuple_chain.sh", "job_settings.py"):
        shutil.copy(SCRIPTS / name, site.configs)
    done = site.run("crab_job.sh", 3, "first_seed=100001", "events=50", cwd=site.configs)
    assert done.returncode == 0, done.stderr
    assert (site.configs / "pfntuple.root").read_text() == "set_job(process, 100003, 50)\n"


# --- configurations in Python


class _Settings(types.SimpleNamespace):
    """Stands for CMSSW's PSets and CRAB's sections: holds whatever is set."""

    def parameterNames_(self) -> list[str]:
        return list(vars(self))


@pytest.fixture
def fake_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    untracked = types.SimpleNamespace(uint32=lambda value: ("untracked uint32", value))
    config = types.ModuleType("FWCore.ParameterSet.Config")
    config.untracked = untracked
    utilities = types.ModuleType("CRABClient.UserUtilities")
    utilities.config = lambda: _Settings(**{name: _Settings() for name in ("General", "JobType", "Data", "Site")})
    parameter_set = types.ModuleType("FWCore.ParameterSet")
    parameter_set.Config = config
    for module in (types.ModuleType("FWCore"), parameter_set, config, types.ModuleType("CRABClient"), utilities):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return


def _job(seed: int) -> _Settings:
    engines = {name: _Settings(initialSeed=12345) for name in ("generator", "g4SimHits", "mix", "VtxSmeared")}
    process = _Settings(RandomNumberGeneratorService=_Settings(**engines, saveFileName=""), source=_Settings(), maxEvents=_Settings(input=1))
    runpy.run_path(str(SCRIPTS / "job_settings.py"))["set_job"](process, seed, 50)
    return process


def _seeds(process: _Settings) -> list[int]:
    return [engine.initialSeed for engine in vars(process.RandomNumberGeneratorService).values() if isinstance(engine, _Settings)]


@pytest.mark.usefixtures("fake_modules")
def test_every_engine_of_every_job_has_a_seed_of_its_own_that_the_engine_accepts():
    seeds = [seed for job in range(100001, 100201) for seed in _seeds(_job(job))]
    assert len(set(seeds)) == 4 * 200
    assert 1 <= min(seeds) <= max(seeds) <= 900_000_000


@pytest.mark.usefixtures("fake_modules")
def test_a_job_run_again_has_the_same_seeds_and_leaves_pythons_own_generator_alone():
    state = random.getstate()
    assert _seeds(_job(5)) == _seeds(_job(5)) != _seeds(_job(6))
    assert random.getstate() == state


@pytest.mark.usefixtures("fake_modules")
def test_a_jobs_events_are_numbered_in_a_luminosity_block_of_their_own():
    process = _job(100007)
    assert process.source.firstLuminosityBlock == ("untracked uint32", 100007)
    assert process.maxEvents.input == 50


@pytest.mark.usefixtures("fake_modules")
def test_the_crab_configuration_ships_files_that_exist_and_asks_for_what_the_job_takes():
    config = runpy.run_path(str(SCRIPTS / "crab_ntuples.py"))["config"]
    shipped = [Path(name) for name in config.JobType.inputFiles]
    assert all(path.is_file() for path in shipped if path.is_absolute())
    assert {"ntuple_chain.sh", "job_settings.py", "gensim_digi_cfg.py", "reco_ntuple_cfg.py"} == {path.name for path in shipped}
    assert all(argument.split("=")[0] in ("first_seed", "events") for argument in config.JobType.scriptArgs)
    assert config.Data.totalUnits % config.Data.unitsPerJob == 0


# --- the document


def _mlpf_commands() -> list[tuple[str, list[str]]]:
    """(where, words) of every ``mlpf`` command line in the document and the scripts."""
    found: list[tuple[str, list[str]]] = []
    for path in (DOCUMENT, *JOB_FILES):
        text = path.read_text().replace("\\\n", " ")
        code = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)) if path == DOCUMENT else text
        lines = re.findall(r"(?:^|&& |exec )[ \t]*(mlpf [^|&>\n]*)", code, re.MULTILINE)
        found.extend((path.name, shlex.split(line, comments=True)[1:]) for line in lines)
    return found


def test_mlpf_commands_in_document_and_scripts_exist_with_their_options():
    commands = typer.main.get_command(app).commands
    found = _mlpf_commands()
    assert len(found) >= 7
    for where, words in found:
        name = words[0]
        assert name in commands, f"{where}: mlpf {name}"
        known = {option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert used <= known, f"{where}: mlpf {name}: {sorted(used - known)}"


def test_files_named_in_the_document_exist():
    text = DOCUMENT.read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    named = re.findall(r"(?<![\w/$])(?:scripts|parameters|docs|data|tests)/[\w./-]+\.\w+", text)
    assert len(named) >= 5
    missing = [name for name in named if not (ROOT / name).is_file()] + [name for name in links if not (DOCUMENT.parent / name).exists()]
    assert not missing
