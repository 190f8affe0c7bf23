"""The runner: asks controllers for children, gives them to an executor, records what comes of them, and resumes.

Every decision follows from the store (`schedule`), and every change of it is one transaction. So a
run may be killed at any moment: the next goes on from what the store says, runs again what had been
running, with the same seeds, and, with one worker, has the same children and the same rewards as
one that was never killed. Nothing here imports Keras or TensorFlow; the controllers "ppo" and
"reinforce" do.
"""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import replacing
from keras_nasnet.common.run_folder import SEARCH, run_folder
from keras_nasnet.common.signals import StopSignal
from keras_nasnet.genotype import Genotype
from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.evaluators.registry import check_evaluator, max_workers
from keras_nasnet.search.executors.contract import DISK_FULL, NO_EVALUATOR, Executor, Job, Report, Task
from keras_nasnet.search.run.driver import failed_start_leaves_nothing, opened
from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.stored import stored_schedule
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.store import Store
from keras_nasnet.search.trial import Error, Fidelity, Observation, Proposal, Result, Trial

POLL_SECONDS = 0.5
HOPELESS = 10  # trials of a stage that fail before any ends well: then the search stops


@dataclass(frozen=True)
class Outcome:
    """What a search came to.

    Args:
        folder: of the run.
        best: the best trial of each arm: of stage "final" where there is one; arms without a good trial lack.
        genotypes: the children of these trials.
    """

    folder: Path
    best: dict[str, Trial]
    genotypes: dict[str, Genotype | str]


class Runner:
    """One search, from where its folder says it is to its end.

    A child that fails is handled by the kind of its error. A worker that died: again, at most
    `Plan.max_retries` times. Out of memory: once more with batches in twice as many parts. A hang
    or an exception: once more. A loss that is not finite: no more. After that the trial is
    "failed" and its reward `FLOOR_REWARD`; isomorphic children are not run in that stage any more
    and get the same (quarantine), unless one had ended well. Children that ended well are evaluated again
    when they are proposed again, as in the paper: their rewards differ by their seeds.

    Args:
        folder: of the run; made if it is not there. One that has a store goes on.
        plan: of the search.
        executor: makes the executor, such as `functools.partial(make_executor, "local")`.
        strategy: a `tf.distribute.Strategy` for controllers with a policy.
        watch: is called with the store after each change, and at least twice a second.
        say: gets a line for the user.
        controllers: makes controllers, with the arguments of `make_controller`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        plan: Plan,
        executor: Callable[[Job], Executor],
        strategy: Any = None,
        watch: Callable[[Store], None] | None = None,
        say: Callable[[str], None] | None = None,
        controllers: Callable[..., Controller] = make_controller,
    ):
        self.folder = Path(folder).absolute()
        self.plan = plan
        self.space = get_space(plan.space)
        self._make_executor = executor
        self._strategy = strategy
        self._watch = watch or _nothing
        self._say = say or _nothing
        self._make_controller = controllers
        for stage in plan.stages:
            check_evaluator(plan.evaluators[stage])
        self._limits = {stage: max_workers(plan.evaluators[stage]) for stage in plan.stages}
        self._running: dict[tuple[int, int], float] = {}  # (trial, attempt): when its lease runs out, monotonic time

    def run(self) -> Outcome:
        """Run the search to its end.

        Raises:
            ValueError: if the folder holds another search, another process runs it, or an evaluator
                cannot be made.
            Interrupted: after Ctrl-C or SIGTERM.
            OSError: if the store cannot be written; errno is ENOSPC when the disk of the driver or
                of a worker is full. The store is then as it was.
        """
        with run_folder(self.folder, SEARCH):
            return self.run_held()

    def run_held(self) -> Outcome:
        """Run the search as `run` does, for who holds its folder already."""
        with failed_start_leaves_nothing(self.folder):
            return self._run()

    def _run(self) -> Outcome:
        with opened(self.folder, self.plan) as self.store, StopSignal() as self._signal:
            self.schedule = stored_schedule(self.store, self.plan)
            if not self.schedule.finished:
                self._begin()
                self._executor = self._make_executor(self._job())
                try:
                    self._loop()
                except BaseException as error:
                    with contextlib.suppress(OSError), self.store.transaction():  # the disk may be full
                        self._release_running()
                        self.store.event("stop", one_line(error))
                    raise
                finally:
                    self._executor.close()
            return self._outcome()

    def _loop(self) -> None:
        while True:
            self._learn()
            self._fill()
            self._watch(self.store)
            if self.schedule.finished:
                return
            for report in self._executor.poll(POLL_SECONDS):
                self._record(report)
            self._give_up_lost_leases()
            if self._signal.came:
                done = f"after {len(self.schedule.trials)} trials, all of them kept"
                raise self._signal.interrupted(f"{done}: keras-nasnet search run --resume {self.folder} goes on")

    # === Asking and telling ===

    def _learn(self) -> None:
        """Tell controllers all rewards that they are due; rewards and new state are one transaction."""
        for name, controller in self.controllers.items():
            while trials := self.schedule.told_next(name, controller.batch):
                metrics = controller.tell(
                    [Observation(trial.tokens, trial.log_prob, trial.reward or 0.0) for trial in trials]
                )
                self.store.consume(name, [trial.id for trial in trials], controller.get_state(), metrics)
                for trial in trials:
                    self.schedule.note(replace(trial, consumed=True))

    def _fill(self) -> None:
        """Give free workers what waits, and ask for more when nothing does."""
        while len(self._running) < self._executor.slots and not self._signal.came:
            if self.schedule.waiting:
                trial = self._next_waiting()
                if trial is None:
                    return
                self._start(trial)
            elif not self._ask():
                return

    def _ask(self) -> bool:
        """Add the next trials, if there are any: what was judged goes on first, then the arms take turns."""
        self._learn()
        if proxy := self.schedule.chosen_proxy():
            self._add(proxy.arm, [_proposal(proxy)], "search", self.plan.fidelities["search"], None, [proxy])
        elif promotion := self.schedule.promotion():
            parent, rung = promotion
            fidelity = self.plan.rungs[rung - 1]
            self._add(parent.arm, [_proposal(parent)], "selection", fidelity, None, [parent])
        elif arm := self.schedule.next_arm():
            controller = self.controllers[arm]
            stage = "search" if self.plan.proposals == 1 else "proxy"
            proposals = controller.ask(self.plan.proposals)
            self._add(arm, proposals, stage, self.plan.fidelities[stage], controller.get_state())
        elif finalists := self.schedule.finalists():
            with self.store.transaction():
                for trial in finalists:
                    self._add(trial.arm, [_proposal(trial)], "final", self.plan.fidelities["final"], None, [trial])
        else:
            return False
        return True

    def _add(
        self,
        arm: str,
        proposals: list[Proposal],
        stage: str,
        fidelity: Fidelity,
        controller_state: bytes | None,
        parents: list[Trial] | None = None,
    ) -> None:
        first = self.store.next_id()
        keys = [self.space.key(proposal.tokens) for proposal in proposals]
        seeds = [self.plan.trial_seed(first + index) for index in range(len(proposals))]
        ids = None if parents is None else [parent.id for parent in parents]
        for trial in self.store.add(arm, proposals, keys, stage, fidelity, seeds, controller_state, ids):
            self.schedule.note(trial)

    # === Evaluations ===

    def _next_waiting(self) -> Trial | None:
        """Return the oldest trial that waits and for whose stage there is room."""
        busy = [self.schedule.trials[number].stage for number, _ in self._running]
        for number in sorted(self.schedule.waiting):
            trial = self.schedule.trials[number]
            limit = self._limits[trial.stage]
            if limit is None or busy.count(trial.stage) < limit:
                return trial
        return None

    def _start(self, trial: Trial) -> None:
        failed = self.schedule.quarantined(trial)
        if failed is not None:
            error = Error("failed", f"in quarantine: trial {failed} of the same child failed every time")
            self.schedule.note(self.store.finish(trial.id, Result(None, error=error)))
            return
        self._copy_weights(trial)
        task = Task(trial.id, trial.attempt, trial.tokens, trial.stage, trial.fidelity, trial.seed)
        worker = self._executor.submit(task)
        # The executor ends what hangs; a lease that runs out is an executor that lost a task.
        lease = 2 * self.plan.seconds + 60
        self._running[trial.id, trial.attempt] = time.monotonic() + lease
        self.schedule.note(self.store.start(trial.id, worker, time.time() + lease))

    def _copy_weights(self, trial: Trial) -> None:
        """Put the weights of the rung below where the evaluation looks for them."""
        if not trial.fidelity.warm_start or trial.parent is None:
            return
        weights = self.folder / "trials" / str(trial.parent) / "child.safetensors"
        place = self.folder / "trials" / str(trial.id) / "parent.safetensors"
        if weights.exists():
            with replacing(place) as temporary:
                shutil.copyfile(weights, temporary)

    def _record(self, report: Report) -> None:
        task, result, error = report.task, report.result, report.result.error
        if self._running.pop((task.trial, task.attempt), None) is None:
            return  # its lease had run out
        trial = self.schedule.trials[task.trial]
        if report.notice:
            self.store.event("recycled", report.notice, trial.id)
        if error is not None and error.kind in (DISK_FULL, NO_EVALUATOR):
            self.schedule.note(self.store.release(trial.id))
            if error.kind == NO_EVALUATOR:
                raise ValueError(error.message)
            raise OSError(errno.ENOSPC, f"the disk of {report.worker} is full; make room, then resume the search")
        fidelity = None if error is None else self.schedule.next_attempt(trial, error)
        if error is not None and fidelity is not None:
            self.schedule.note(self.store.retry(trial.id, error, fidelity, result.seconds))
            return
        with self.store.transaction():
            self.schedule.note(self.store.finish(trial.id, result))
            if self.schedule.quarantined(trial) == trial.id:
                message = f"{trial.arm}'s child {list(trial.tokens)} is not run in {trial.stage} any more"
                self.store.event("quarantine", message, trial.id)
        if self.schedule.failures_only(trial.stage) >= HOPELESS:
            assert error is not None
            raise ValueError(f"the first {HOPELESS} trials of stage {trial.stage!r} all failed: {error.message}")

    def _give_up_lost_leases(self) -> None:
        now = time.monotonic()
        for (number, attempt), until in list(self._running.items()):
            if until < now:
                trial = self.schedule.trials[number]
                task = Task(number, attempt, trial.tokens, trial.stage, trial.fidelity, trial.seed)
                error = Error("worker_lost", f"no word of {trial.worker} until its lease ran out")
                self._record(Report(task, trial.worker or "", Result(None, error=error)))

    # === Beginning and end ===

    def _begin(self) -> None:
        """Make the controllers, as they were; what was running when the last driver ended waits again."""
        self.controllers: dict[str, Controller] = {}
        for arm in self.plan.arms:
            controller = self._make_controller(
                arm.controller, self.space, seed=self.plan.seed, strategy=self._strategy, **arm.options
            )
            state = self.store.controller_state(arm.controller)
            if state is not None:
                controller.set_state(state)
            self.controllers[arm.controller] = controller
        with self.store.transaction():
            self._release_running()
            if self.schedule.trials:
                message = f"after {len(self.schedule.trials)} trials, {len(self.schedule.waiting)} of which wait"
                self.store.event("resume", message)
                self._say(f"goes on {message}")
            else:
                self.store.event("start", self.plan.name)

    def _release_running(self) -> None:
        for trial in self.store.trials(state="running"):
            self.schedule.note(self.store.release(trial.id))

    def _job(self) -> Job:
        return Job(
            self.space.to_dict(),
            {stage: self.plan.evaluators[stage] for stage in self.plan.stages},
            str(self.folder),
            self.plan.seconds,
        )

    def _outcome(self) -> Outcome:
        found = {arm.controller: self.schedule.best_final(arm.controller) for arm in self.plan.arms}
        best = {arm: trial for arm, trial in found.items() if trial is not None}
        return Outcome(self.folder, best, {arm: self.space.genotype(trial.tokens) for arm, trial in best.items()})


def _proposal(trial: Trial) -> Proposal:
    return Proposal(trial.tokens, trial.log_prob)


def _nothing(_: Any) -> None: ...
