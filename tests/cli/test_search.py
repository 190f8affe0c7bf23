"""`keras-nasnet search`: run, interrupt, resume, look, export."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet.cli.main import main
from keras_nasnet.genotype import get as get_genotype
from keras_nasnet.search.run.plan import Arm
from keras_nasnet.search.run.presets import get_plan, to_toml
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import Fidelity
from tests.support import chromium
from tests.support.eager import eagerly
from tests.support.small_search import CASCADE, history, make_plan, search
from tests.support.together import finish, start, tf_configs
from tests.support.waiting import SECONDS, wait_for


@pytest.fixture(autouse=True, scope="module")
def home_of_its_own(tmp_path_factory):
    """Where it is kept which folders are trusted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def run(*arguments):
    return CliRunner().invoke(main, ["search", *map(str, arguments)])


def refused(*arguments):
    """What a command says that refuses: one line, exit code 2."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1, result.output
    return result.output


def write_plan(path, **options):
    path.write_text(to_toml(make_plan(**options)))
    return path


def test_a_search_on_photographs_that_cannot_begin_leaves_no_folder(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    arguments = ("run", "--data", tmp_path / "photos", "--out", tmp_path / "run", "--image-size")
    assert refused(*arguments, 3) == "Error: image_size is 3: it must be from 8 to 4096 pixels\n"
    assert not (tmp_path / "run").exists()
    assert run("run", "--data", tmp_path / "photos", "--image-size", 24, "--print").stdout.count("image_size = 24") == 2


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The folder of a whole search, and what its command said."""
    folder = tmp_path_factory.mktemp("cli")
    plan = write_plan(folder / "plan.toml", budget=12, share=0.3, fault="nan", **CASCADE)
    result = run("run", "--preset", plan, "--out", folder / "run", "--workers", 1)
    assert result.exit_code == 0, result.output
    return folder / "run", result.output


def test_a_run_leaves_all_that_one_looks_at(found):
    folder, output = found
    assert {"store.sqlite", "logs", "report.html", "best.json", "tensorboard"} <= {one.name for one in folder.iterdir()}
    with Store.open(folder / FILE, readonly=True) as store:
        trials = store.trials()
    best = max((trial for trial in trials if trial.stage == "final"), key=lambda trial: trial.reward)
    assert f"reward {best.reward:.4f} (trial {best.id}, final" in output
    assert {trial.state for trial in trials} == {"done", "failed"}
    child = json.loads((folder / "best.json").read_text())
    assert child.startswith("|") and child.count("~") == 6


def test_its_tensorboard_curves_are_those_of_the_store(found):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = found
    for arm in ("evolution", "random"):
        events = EventAccumulator(str(folder / "tensorboard" / arm)).Reload()
        with Store.open(folder / FILE, readonly=True) as store:
            trials = sorted(store.trials(arm=arm, stage="search"), key=lambda trial: (trial.finished_at, trial.id))
        rewards = [trial.reward for trial in trials]
        assert [one.value for one in events.Scalars("reward")] == pytest.approx(rewards)
        assert events.Scalars("best")[-1].value == pytest.approx(max(rewards))
        assert events.Scalars("mean_of_100")[-1].value == pytest.approx(sum(rewards) / len(rewards))
    assert EventAccumulator(str(folder / "tensorboard" / "evolution")).Reload().Scalars("population_reward")


def test_status_tells_people_and_programs(found):
    folder, _ = found
    text = run("status", folder).output
    numbers = json.loads(run("status", folder, "--json").output)
    assert numbers["seconds_left"] == 0 and numbers["arms"]["evolution"]["finished"] == 12
    total = sum(stage["finished"] for stage in numbers["stages"].values())
    assert text.startswith(f"{total} of {total} trials, 0 running  best {numbers['best']['reward']:.4f}")
    assert "evolution      12 of 12" in text and "nan: " in text


def test_export_writes_the_best_any_and_all(found, tmp_path):
    folder, _ = found
    assert run("export", folder, tmp_path / "found.json").exit_code == 0
    assert (tmp_path / "found.json").read_text() == (folder / "best.json").read_text()
    assert "trial 3 of " in run("export", folder, tmp_path / "third.json", "--trial", 3).output
    assert run("export", folder, tmp_path / "trials.csv").exit_code == 0
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with Store.open(folder / FILE, readonly=True) as store:
        assert len(rows) == len(store.trials())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["found.json", "third.json", "trials.csv"]


def test_report_draws_it_anew(found, tmp_path):
    folder, _ = found
    assert run("report", folder, "--out", tmp_path / "page.html").exit_code == 0
    assert "<html" in (tmp_path / "page.html").read_text()


def test_a_folder_with_a_search_is_not_searched_in_again_by_mistake(found):
    folder, _ = found
    assert f"holds a search already: go on with --resume {folder}" in refused("run", "--out", folder)
    result = run("run", "--resume", folder)
    assert result.exit_code == 0 and "best of evolution" in result.output


def test_a_second_driver_is_refused_and_changes_nothing(found):
    from keras_nasnet.common.run_folder import SEARCH, run_folder

    folder, _ = found
    before = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and "sqlite" not in path.name
    }
    assert any(path.parent.parent.name == "tensorboard" for path in before)
    with run_folder(folder, SEARCH):
        assert f"{folder} is being written by process {os.getpid()}" in refused("run", "--resume", folder)
    after = {path: path.stat().st_mtime_ns for path in before if path.exists()}
    assert after == before


def test_bad_input_is_refused_in_one_line(found, tmp_path):
    folder, _ = found
    assert "holds no search to resume" in refused("run", "--resume", tmp_path / "none")
    assert "--budget and --resume" in refused("run", "--resume", folder, "--budget", 3)
    assert "no preset is called 'fast'" in refused("run", "--preset", "fast")
    assert "--address is of a Ray cluster" in refused("run", "--address", "auto", "--out", tmp_path / "new")
    assert "executor is 'dask': choose from local, ray, or" in refused(
        "run", "--engine", "dask", "--out", tmp_path / "x"
    )
    assert "--print and --resume" in refused("run", "--resume", folder, "--print")
    for command in (["status"], ["report"], ["export", "x.json"]):
        name, *rest = command
        assert "holds no search" in refused(name, tmp_path, *rest)
    assert "must end in .json, .csv, .parquet" in refused("export", folder, tmp_path / "found.xml")
    assert "--trial is for a genotype" in refused("export", folder, tmp_path / "found.csv", "--trial", 1)
    assert "has no trial 999" in refused("export", folder, tmp_path / "found.json", "--trial", 999)
    assert "TF_CONFIG" in refused("run", "--out", tmp_path / "new", "--strategy", "multiworker")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("photos", "photos/cats: only one image in this class folder"),
        ("none.npz", "no such file"),
        ("", "an argument is empty"),
    ],
)
def test_images_that_no_worker_would_take_are_refused_and_leave_no_folder(tmp_path, monkeypatch, data, words):
    monkeypatch.chdir(tmp_path)
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (20, 30)).save(tmp_path / "photos" / name / "1.jpg")
    engine = "tests.support.small_search:Inline"  # a worker would import TensorFlow anew
    result = run("run", "--data", data, "--budget", 2, "--out", tmp_path / "new", "--engine", engine)
    assert result.exit_code == 2, result.output
    assert words in result.stderr.splitlines()[-1]
    assert [one.name for one in tmp_path.iterdir()] == ["photos"]


def test_an_evaluator_that_cannot_be_made_is_said_in_one_line(tmp_path):
    plan = write_plan(tmp_path / "plan.toml", fault="magic", colour="red")
    result = run("run", "--preset", plan, "--out", tmp_path / "runs" / "new", "--workers", 1)
    assert result.exit_code == 2
    assert "the evaluator of stage 'search' cannot be made" in result.output.splitlines()[-1]
    assert [one.name for one in tmp_path.iterdir()] == ["plan.toml"], "a failed start leaves nothing"


def test_code_that_a_folder_from_elsewhere_names_runs_only_if_it_is_trusted_which_is_asked_once(tmp_path, monkeypatch):
    """Its plan names a module that notes that it was imported."""
    (tmp_path / "code").mkdir()
    noted = tmp_path / "imported"
    (tmp_path / "code" / "theirs.py").write_text(
        f"from pathlib import Path\nfrom tests.support.broken_evaluators import Quiet\nPath({str(noted)!r}).touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    folder = tmp_path / "theirs"
    folder.mkdir()
    plan = make_plan("Quiet", budget=2)
    config = json.dumps(plan.to_dict()).replace("tests.support.broken_evaluators", "theirs")
    Store.create(folder / FILE, json.loads(config)).close()
    for command in (["status", folder], ["report", folder], ["export", folder, tmp_path / "trials.csv"]):
        assert run(*command).exit_code == 0
    again = ["run", "--resume", folder, "--engine", "tests.support.small_search:Inline"]
    assert "evaluator theirs:Quiet. If you know who made it, --trust says so, once" in refused(*again)
    assert not noted.exists()
    assert run(*again, "--trust").exit_code == 0
    assert noted.exists()
    assert run(*again).exit_code == 0, "it is not asked again"
    folder.rename(tmp_path / "moved")
    assert "--trust" in refused("run", "--resume", tmp_path / "moved")
    assert "--trust is for --resume" in refused("run", "--trust")


def test_links_in_a_folder_from_elsewhere_are_followed_only_if_it_is_trusted(tmp_path):
    folder = tmp_path / "theirs"
    (folder / "logs").mkdir(parents=True)
    plan = make_plan(budget=1).to_dict()
    own = {"name": "tabular", "path": "table.csv"}
    Store.create(folder / FILE, {**plan, "evaluators": dict.fromkeys(plan["evaluators"], own)}).close()
    (tmp_path / "mine").write_text("as it was")
    (folder / "logs" / "worker-1.log").symlink_to("../../mine")
    said = refused("run", "--resume", folder)
    assert "link logs/worker-1.log to ../../mine" in said and "--trust" in said
    assert (tmp_path / "mine").read_text() == "as it was"
    (folder / "logs" / "worker-1.log").unlink()
    (folder / "logs" / "worker-1.log").symlink_to("worker-2.log")  # stays within
    assert "table.csv" in refused_at_the_end("run", "--resume", folder, "--workers", 1)


def refused_at_the_end(*arguments):
    """What a command that refuses says last."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    return result.output.splitlines()[-1]


def test_ctrl_c_says_how_to_go_on_and_the_rest_is_as_if_it_had_not_been(tmp_path):
    gate, folder = tmp_path / "gate", tmp_path / "run"
    plan = write_plan(tmp_path / "plan.toml", budget=3, gate=str(gate), held=4)
    command = ["-m", "keras_nasnet.cli.main", "search", "run", "--workers", "1", "--preset", plan, "--out", folder]
    # Before Python, so that it holds where the shell's background jobs ignore it.
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stderr=subprocess.PIPE, text=True, preexec_fn=_default_sigint
    )
    wait_for(lambda: len(trials_of(folder, "done")) == 3 or process.poll() is not None)
    assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert f"keras-nasnet search run --resume {folder} goes on" in said.splitlines()[-1]
    assert (folder / "report.html").exists() and (folder / "best.json").exists()
    assert len(trials_of(folder, "done")) == 3
    gate.touch()
    assert run("run", "--resume", folder, "--engine", "tests.support.small_search:Inline").exit_code == 0
    search(tmp_path / "whole", get_plan(plan))
    assert history(folder) == history(tmp_path / "whole")


def _default_sigint():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def trials_of(folder, state):
    try:
        with Store.open(folder / FILE, readonly=True) as store:
            return store.trials(state=state)
    except Exception:  # not yet there
        return []


def write_digits_plan(path, budget):
    """A real search, small enough for a test: PPO and random on digits."""
    quick = get_plan("quick")
    space = {"name": "nasnet", "blocks": 1, "operations": ["identity", "conv_3x3", "max_pool_3x3"], "combines": ["add"]}
    options = {"batch": 1, "units": 8}
    plan = {
        **quick.to_dict(),
        "name": "digits",
        "space": space,
        "arms": [vars(Arm("ppo", budget, options)), vars(Arm("random", budget))],
        "fidelities": {"search": Fidelity(1, 128, 4, 1).to_dict()},
        "finalists": 0,
    }
    path.write_text(to_toml(type(quick).from_dict(plan)))
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    plan = write_digits_plan(folder / "plan.toml", budget=1)
    with eagerly():  # and in this process: a worker would import TensorFlow anew
        result = run("run", "--preset", plan, "--out", folder / "run", "--engine", "tests.support.small_search:Inline")
    assert result.exit_code == 0, result.output
    return folder / "run"


def test_what_is_found_on_digits_is_a_genotype_that_the_builders_take(digits):
    from keras_nasnet import NASNet

    with Store.open(digits / FILE, readonly=True) as store:
        trials = store.trials()
        assert {"entropy", "baseline"} <= store.metrics("ppo")[0].keys()
    assert [trial.state for trial in trials] == ["done"] * 2, [trial.error for trial in trials]
    assert all(trial.params > 0 and trial.mult_adds > 0 for trial in trials)
    genotype = get_genotype(digits / "best.json")
    network = NASNet(
        genotype=str(digits / "best.json"),
        num_blocks=1,
        penultimate_filters=4 * genotype.penultimate_ratio,
        stem="cifar",
        classes=10,
    )
    assert network.count_params() > 0
    assert genotype.name.startswith("digits, trial ")


def click_through(report):
    """Opens a report and each of its tabs; something must be on each, and the browser must not complain."""
    with chromium.Chromium() as browser:
        browser.open(report)
        tabs = browser.run("[...document.querySelectorAll('nav a')].map(tab => tab.hash)")
        assert len(tabs) > 5
        for tab in tabs:
            browser.click(f'nav a[href="{tab}"]')
            assert browser.run(f"document.querySelector('{tab}').offsetHeight") > 50
        browser.click('nav a[href="#cells"]')
        assert browser.run("document.querySelectorAll('#cells .cell svg').length") >= 2
        assert browser.complaints == []


@pytest.mark.skipif(chromium.PROGRAM is None, reason="no Chromium is installed (Debian: apt install chromium)")
def test_the_report_of_a_real_search_opens_in_a_browser(digits):
    click_through(digits / "report.html")


@pytest.mark.slow
def test_without_arguments_it_searches_on_digits_and_is_done_in_minutes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("run")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "search-quick"
    numbers = json.loads(run("status", folder, "--json").output)
    assert (
        numbers["arms"]["ppo"]["finished"] == numbers["arms"]["random"]["finished"] == get_plan("quick").arms[0].budget
    )
    assert numbers["best"]["reward"] > 0.8
    assert get_genotype(folder / "best.json").normal
    if chromium.PROGRAM is not None:
        click_through(folder / "report.html")


@pytest.mark.slow
def test_two_workers_share_the_policy_and_find_what_one_finds(tmp_path):
    plan = tmp_path / "plan.toml"
    arms = [vars(Arm("ppo", 12, {"batch": 4, "units": 8})), vars(Arm("random", 12))]
    small = make_plan(budget=12)
    plan.write_text(to_toml(type(small).from_dict({**small.to_dict(), "arms": arms})))
    command = ["-m", "keras_nasnet.cli.main", "search", "run", "--workers", 1, "--preset", plan, "--out"]
    logs = [tmp_path / f"{name}.log" for name in ("worker0", "worker1", "alone")]
    processes = [
        start(*command, tmp_path / "two", "--strategy", "multiworker", log=log, TF_CONFIG=config)
        for log, config in zip(logs, tf_configs(), strict=False)
    ]
    processes.append(start(*command, tmp_path / "one", log=logs[2]))
    assert finish(*processes) == [0, 0, 0], [log.read_text() for log in logs]
    both = [[trial.tokens for trial in trials_of(tmp_path / name, "done")] for name in ("one", "two")]
    assert both[0] == both[1] and len(both[0]) == 24


@pytest.mark.slow
def test_on_jax_a_search_needs_no_tensorflow(tmp_path):
    """Neither here nor in the worker: an import of it fails in both."""
    pytest.importorskip("jax")
    blocked = tmp_path / "blocked" / "tensorflow"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('it is not installed')")
    plan = write_digits_plan(tmp_path / "plan.toml", budget=1)
    command = ["-m", "keras_nasnet.cli.main", "search", "run", "--preset", plan, "--out", tmp_path / "run"]
    path = os.pathsep.join([str(blocked.parent), os.environ["PYTHONPATH"]])
    log = tmp_path / "log"
    assert finish(start(*command, "--workers", 1, log=log, KERAS_BACKEND="jax", PYTHONPATH=path)) == [0], (
        log.read_text()
    )
    done = trials_of(tmp_path / "run", "done")
    assert len(done) == 2 and all(trial.reward > 0 for trial in done)
