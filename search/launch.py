"""A whole search in one call: controllers, workers, progress, and what a run's folder holds at the end."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_nasnet.common import run_folder, terminal
from keras_nasnet.common.escape import printable
from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.controller.registry import make_controller, uses_strategy
from keras_nasnet.search.evaluators.data import check_sources
from keras_nasnet.search.evaluators.registry import OWN
from keras_nasnet.search.executors.registry import EXECUTORS
from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.runner import Outcome, Runner
from keras_nasnet.search.run.stored import stored_plan
from keras_nasnet.search.run.trust import check_trust, remember
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.journal import network_file_system
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.view.export import export_best
from keras_nasnet.search.view.progress import Progress
from keras_nasnet.search.view.report import write_report
from keras_nasnet.search.view.scalars import Scalars

BEST_FILE = "best.json"  # in the folder of a run


def search(
    plan: Plan | None,
    folder: str | os.PathLike[str],
    *,
    engine: str = "local",
    workers: int | None = None,
    strategy: str = "default",
    resume: bool = False,
    trust: bool = False,
    say: Callable[[str], None] | None = None,
    **engine_options: Any,
) -> Outcome | None:
    """Run a search to its end, or until Ctrl-C or SIGTERM, after which it can be resumed.

    The folder then holds `store.sqlite`, `logs`, `tensorboard`, `report.html` and `best.json`.

    Args:
        plan: of the search; None with `resume`: the one that the folder's store has.
        folder: of the run.
        engine: one of `executors.registry.EXECUTORS`, or "module:Class" of your own: where children are evaluated.
        workers: how many; default: the engine's choice.
        strategy: under which policies ("ppo", "reinforce") sample and learn, one of
            `training.recipe.STRATEGIES`. With "multiworker" start the same command on all machines
            that TF_CONFIG lists; worker 0 runs the search, the others compute with it.
        resume: whether to go on with what the folder holds.
        trust: whether the code that the folder's own plan names may run, and its links out of it be followed. Where
            a search was begun with that plan here, or trusted before, it need not be said.
        say: gets lines for the user; default: prints them to stderr.
        **engine_options: of the engine, such as `address` of a Ray cluster.

    Returns:
        What came out; None in workers of "multiworker" that only compute.

    Raises:
        ValueError: if the folder holds a search and `resume` is False, or none and it is True; if
            plan, engine or strategy are wrong; if the folder's plan is taken, names code, and is not trusted.
        Interrupted: after Ctrl-C or SIGTERM; says how to go on.
        OSError: if the disk is full; the store is then as it was.

    Example:
        With a table of rewards in place of training:

        >>> space = get_space("nasbench201")
        >>> with open("table.csv", "w") as file:
        ...     print("arch", "c10_valid_e12", "c10_test_e200", sep=",", file=file)
        ...     for tokens in np.ndindex(space.sizes):
        ...         print(space.genotype(tokens), 10 * tokens[0], 10 * tokens[0], sep=",", file=file)
        >>> table = {"name": "tabular", "path": "table.csv"}
        >>> plan = Plan(
        ...     "by table",
        ...     space.to_dict(),
        ...     arms=(Arm("evolution", 12, {"population": 4, "sample_size": 2}), Arm("random", 12)),
        ...     evaluators={"search": table},
        ...     fidelities={"search": Fidelity(epochs=12)},
        ... )
        >>> outcome = search(plan, "run", workers=1)
        >>> outcome.best["evolution"].state
        'done'
        >>> outcome.genotypes["random"]
        '|...~0|+|...~0|...~1|+|...~0|...~1|...~2|'
    """
    folder, say = Path(folder), say or terminal.say
    # A policy is small: it leaves the GPUs' memory to the children.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if strategy == "default":
        return _run(
            _plan_of(folder, plan, resume, trust), folder, engine, workers, say, make_controller, engine_options
        )
    from keras_nasnet.search.controller.workers import Crew
    from keras_nasnet.training.devices import Devices

    devices = Devices(strategy, say)
    with devices.scope():
        crew = Crew(devices)
        if not devices.is_chief:
            crew.follow(lambda data: _policies(Plan.from_dict(data), devices.tf_strategy))
            return None
        with crew.dismissed_at_the_end():
            plan = _plan_of(folder, plan, resume, trust)
            crew.begin(plan.to_dict())
            policies = crew.led(_policies(plan, devices.tf_strategy))

            def controllers(name: str, *arguments: Any, **options: Any) -> Controller:
                return policies[name] if name in policies else make_controller(name, *arguments, **options)

            return _run(plan, folder, engine, workers, say, controllers, engine_options)


def _plan_of(folder: Path, plan: Plan | None, resume: bool, trust: bool) -> Plan:
    run_folder.check(folder, run_folder.SEARCH)
    there = (folder / FILE).exists()
    if there and not resume:
        raise ValueError(f"{folder} holds a search already: go on with --resume {folder}, or choose another --out")
    if resume and not there:
        raise ValueError(f"{folder} holds no search to resume")
    if plan is not None:
        return plan
    if not resume:
        raise ValueError("there is no plan: give one, or resume a search")
    with Store.open(folder / FILE, readonly=True) as store:
        plan = stored_plan(store)
    check_trust(folder, plan, trust)
    return plan


def _policies(plan: Plan, strategy: Any) -> dict[str, Controller]:
    space = get_space(plan.space)
    return {
        arm.controller: make_controller(arm.controller, space, plan.seed, strategy, **arm.options)
        for arm in plan.arms
        if uses_strategy(arm.controller)
    }


def _run(
    plan: Plan,
    folder: Path,
    engine: str,
    workers: int | None,
    say: Callable[[str], None],
    controllers: Callable[..., Controller],
    engine_options: dict[str, Any],
) -> Outcome:
    executor = functools.partial(EXECUTORS.get(engine), workers=workers, **engine_options)
    if engine == "local":  # elsewhere the data need not be on this machine
        configs = [plan.evaluators[stage] for stage in plan.stages]
        for line in check_sources(config for config in configs if config.get("name") in OWN):
            say(line)
    if kind := network_file_system(folder):
        say(f"{printable(folder)} is on {kind}, a network file system: who looks at the store may wait for it")
    progress = Progress()
    with run_folder.run_folder(folder, run_folder.SEARCH), _scalars(folder) as scalars:
        began = False

        def watch(store: Store) -> None:
            nonlocal began
            if not began:
                remember(folder, plan)  # who began it need not be asked when it goes on
            began = True
            progress(store)
            scalars(store)

        runner = Runner(folder, plan, executor, watch=watch, say=say, controllers=controllers)
        try:
            outcome = runner.run_held()
        except BaseException:
            if began:
                _write_results(folder, progress, scalars)
            raise
        _write_results(folder, progress, scalars)
    return replace(outcome, folder=folder)


@contextlib.contextmanager
def _scalars(folder: Path) -> Iterator[Scalars]:
    scalars = Scalars(folder)
    try:
        yield scalars
    finally:
        scalars.close()


def _write_results(folder: Path, progress: Progress, scalars: Scalars) -> None:
    """Write report and best child of what there is, also after an error, which it must not hide."""
    with contextlib.suppress(ValueError, OSError), Store.open(folder / FILE, readonly=True) as store:
        progress.finish(store)
        scalars(store)
        write_report(folder)
        export_best(store, folder / BEST_FILE)
