"""Small searches for tests, in this process or in one of their own: `python small_search.py FOLDER PLAN ENGINE`."""

import functools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click

from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.search.executors.contract import Report
from keras_nasnet.search.executors.registry import make_executor
from keras_nasnet.search.executors.worker import run_task
from keras_nasnet.search.run.plan import Arm, Plan
from keras_nasnet.search.run.runner import Runner
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import Fidelity

EVOLUTION = {"population": 6, "sample_size": 3}
# 16 children: many are proposed twice.
TINY_SPACE = {"name": "nasnet", "blocks": 1, "operations": ["sep_conv_3x3"], "combines": ["add"]}


def make_plan(evaluator="Hashed", budget=8, controllers=("evolution", "random"), space=None, seconds=600.0, **options):
    """A plan on the space of NAS-Bench-201; of `options`, those that are no setting of a plan are the evaluator's."""
    settings = {name: options.pop(name) for name in [*options] if name in Plan.__dataclass_fields__}
    config = {"name": f"tests.support.broken_evaluators:{evaluator}", **options}
    return Plan(
        **{
            "name": "small",
            "space": space or {"name": "nasbench201"},
            "arms": tuple(Arm(name, budget, EVOLUTION if name == "evolution" else {}) for name in controllers),
            "evaluators": dict.fromkeys(("proxy", "search", "selection", "final"), config),
            "fidelities": {"proxy": Fidelity(0), "search": Fidelity(1), "final": Fidelity(20)},
            "seconds": seconds,
            **settings,
        }
    )


CASCADE = {"proposals": 2, "rungs": (Fidelity(3), Fidelity(9)), "eta": 2, "finalists": 2}


class Inline:
    """An executor of this process: one worker that is always right."""

    slots = 1

    def __init__(self, job, workers=None):
        self.job, self.evaluators, self.tasks = job, {}, []

    def submit(self, task):
        self.tasks.append(task)
        return "inline"

    def poll(self, seconds):
        tasks, self.tasks = self.tasks, []
        return [Report(task, "inline", run_task(self.job, self.evaluators, task)) for task in tasks]

    def close(self):
        self.tasks = []


def search(folder, plan, executor=Inline, **options):
    """Runs a search here; returns its outcome."""
    return Runner(folder, plan, executor, **options).run()


def history(folder):
    """All of a search that does not depend on the time that things took."""
    with Store.open(Path(folder) / FILE, readonly=True) as store:
        trials = [
            replace(trial, attempt=0, worker=None, seconds=0.0, error=None, asked_at=0.0, finished_at=0.0)
            for trial in store.trials()
        ]
        arms = [arm["controller"] for arm in store.config["arms"]]
        updates = [{**row, "at": None} for arm in arms for row in store.metrics(arm)]
        return trials, updates, [store.controller_state(arm) for arm in arms]


def start(folder, plan, executor="local", file=None, group=False):
    """Starts a search in a process of its own, with one worker; `file` is for its plan, `group`: as a shell does."""
    file = file or Path(f"{folder}.json")
    file.write_text(json.dumps(plan.to_dict()))
    return subprocess.Popen(
        [sys.executable, __file__, folder, file, executor],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=group,
    )


@click.command()
@click.argument("folder")
@click.argument("plan")
@click.argument("executor")
def main(folder, plan, executor):
    with reporting_errors():
        search(
            folder,
            Plan.from_dict(json.loads(Path(plan).read_text())),
            functools.partial(make_executor, executor, workers=1),
        )
    print("the end; imported:", *sorted({"tensorflow", "keras", "jax", "torch"} & set(sys.modules)))


if __name__ == "__main__":
    main()
