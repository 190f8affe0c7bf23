"""The store: every trial of a search and the state of its controllers, in one SQLite file that any SQLite tool reads.

One process writes, any number read. The file is in WAL mode with `synchronous=FULL`: a change is
on the disk when its method returns, all of it or, after a crash, nothing. Its tables are described
in `keras_nasnet.search.store.schema`. Nothing here imports Keras.
"""

import json
import math
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.search.store.database import Database
from keras_nasnet.search.store.schema import to_numbers, to_trial
from keras_nasnet.search.trial import FLOOR_REWARD, Error, Fidelity, Proposal, Result, Trial

FILE = "store.sqlite"  # in the folder of a run


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Args:
        at: UNIX time.
        trial: id of the trial that it concerns, if one.
        kind: "start", "resume", "stop", "retry", "quarantine", "recycled", or one of `trial.ERROR_KINDS`.
        message: a line for people.
    """

    at: float
    trial: int | None
    kind: str
    message: str


class Store(Database):
    """All that is known of a search: its trials, events, and the states of its controllers.

    `Store.create` and `Store.open` make one. Every change is one transaction.

    Args:
        path: of the file.
        connection: to it.
        config: what the search was started with.

    Example:
        >>> with Store.create("store.sqlite", get_plan("quick").to_dict()) as store:
        ...     trial, = store.add("random", [Proposal((0,) * 50)], ["key"], "search", Fidelity(2), [0], None)
        ...     trial = store.finish(trial.id, Result(reward=0.75))
        >>> with Store.open("store.sqlite", readonly=True) as store:
        ...     [(trial.id, trial.state, trial.reward) for trial in store.trials()]
        [(1, 'done', 0.75)]
    """

    # === Writing ===

    def add(
        self,
        arm: str,
        proposals: Sequence[Proposal],
        keys: Sequence[str],
        stage: str,
        fidelity: Fidelity,
        seeds: Sequence[int],
        controller_state: bytes | None,
        parents: Sequence[int | None] | None = None,
    ) -> list[Trial]:
        """Add trials that wait, with the state that the controller has after it was asked for them.

        Args:
            arm: name of the controller.
            proposals: the children.
            keys: of the children, in the same order.
            stage: one of `trial.STAGES`.
            fidelity: of all of them.
            seeds: of their evaluations, in the same order.
            controller_state: of `Controller.get_state`; None leaves the one that is kept.
            parents: ids of the trials from which they were promoted; default: none.

        Returns:
            The new trials.
        """
        rows = zip(proposals, keys, seeds, parents or [None] * len(proposals), strict=True)
        with self.transaction():
            ids = []
            for proposal, key, seed, parent in rows:
                cursor = self._connection.execute(
                    "INSERT INTO trials (arm, tokens, key, log_prob, stage, fidelity, seed, parent, asked_at) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        arm,
                        json.dumps([int(token) for token in proposal.tokens]),
                        key,
                        None if proposal.log_prob is None else float(proposal.log_prob),
                        stage,
                        json.dumps(fidelity.to_dict()),
                        seed,
                        parent,
                        time.time(),
                    ),
                )
                ids.append(cursor.lastrowid)
            if controller_state is not None:
                self._keep_state(arm, controller_state)
        return [self.trial(number) for number in ids if number is not None]

    def start(self, trial_id: int, worker: str, lease_until: float) -> Trial:
        """Record that a worker has begun with a waiting trial, which is given up at UNIX time `lease_until`."""
        return self._change(
            trial_id, ("waiting",), "state = 'running', worker = ?, lease_until = ?", (worker, lease_until)
        )

    def finish(self, trial_id: int, result: Result) -> Trial:
        """End a trial for good: "done", or "failed" with `FLOOR_REWARD` where the result has an error.

        A reward that is no finite number, or above `limits.NUMBER`, is the error "nan". An error is also written as
        an event.

        Raises:
            sqlite3.IntegrityError: if it had ended before.
        """
        error, reward = result.error, result.reward
        if error is None and (reward is None or not _is_sane(reward)):
            error = Error("nan", f"the reward is {reward}")
        with self.transaction():
            if error is not None:
                self.event(error.kind, error.message, trial_id)
            return self._change(
                trial_id,
                ("waiting", "running"),
                "state = ?, reward = ?, params = ?, mult_adds = ?, seconds = seconds + ?, device = ?, "
                "error_kind = coalesce(?, error_kind), error = coalesce(?, error), extra = ?, finished_at = ?, "
                "lease_until = NULL",
                (
                    "failed" if error else "done",
                    FLOOR_REWARD if error or reward is None else float(reward),
                    _count(result.params),
                    _count(result.mult_adds),
                    _seconds(result.seconds),
                    result.device[: limits.NAME_CHARACTERS],
                    error.kind[: limits.NAME_CHARACTERS] if error else None,
                    error.message[: limits.STORE_TEXT] if error else None,
                    json.dumps({name: float(x) for name, x in result.extra.items() if _is_sane(x)}),
                    time.time(),
                ),
            )

    def retry(self, trial_id: int, error: Error, fidelity: Fidelity | None = None, seconds: float = 0.0) -> Trial:
        """Put a trial back to wait for its next attempt, and write the events of its error and of the retry.

        Args:
            trial_id: of a running trial.
            error: that ended its attempt.
            fidelity: of the next attempt; None: as before.
            seconds: that the attempt took: they count as its cost.
        """
        with self.transaction():
            trial = self._change(
                trial_id,
                ("running",),
                "state = 'waiting', attempt = attempt + 1, error_kind = ?, error = ?, seconds = seconds + ?, "
                "fidelity = coalesce(?, fidelity), worker = NULL, lease_until = NULL",
                (
                    error.kind,
                    error.message,
                    _seconds(seconds),
                    None if fidelity is None else json.dumps(fidelity.to_dict()),
                ),
            )
            self.event(error.kind, error.message, trial_id)
            self.event("retry", f"attempt {trial.attempt + 1}: {trial.fidelity}", trial_id)
        return trial

    def release(self, trial_id: int) -> Trial:
        """Put a running trial back to wait, as if it had not been started: the driver stopped, or died."""
        return self._change(trial_id, ("running",), "state = 'waiting', worker = NULL, lease_until = NULL", ())

    def consume(
        self, arm: str, trial_ids: Sequence[int], controller_state: bytes, metrics: Mapping[str, float]
    ) -> None:
        """Record in one transaction that a controller was told of trials, and the state that it has now.

        Raises:
            sqlite3.IntegrityError: if one of them is not the arm's, is not final, or was used before;
                nothing is changed then.
        """
        with self.transaction():
            before = self._connection.execute(
                "SELECT coalesce(max(trials), 0) FROM updates WHERE arm = ?", (arm,)
            ).fetchone()[0]
            update = self._connection.execute(
                "INSERT INTO updates (arm, at, trials, numbers) VALUES (?, ?, ?, ?)",
                (arm, time.time(), before + len(trial_ids), json.dumps({k: float(v) for k, v in metrics.items()})),
            ).lastrowid
            for number in trial_ids:
                changed = self._connection.execute(
                    "UPDATE trials SET consumed_by = ? "
                    "WHERE id = ? AND arm = ? AND state IN ('done', 'failed') AND consumed_by IS NULL",
                    (update, number, arm),
                )
                if changed.rowcount != 1:
                    raise sqlite3.IntegrityError(f"trial {number} of {arm} has no reward to use, or it was used before")
            self._keep_state(arm, controller_state)

    def event(self, kind: str, message: str, trial: int | None = None) -> None:
        """Write down that something happened."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO events (at, trial, kind, message) VALUES (?, ?, ?, ?)",
                (time.time(), trial, kind[: limits.NAME_CHARACTERS], message[: limits.STORE_TEXT]),
            )

    # === Reading ===

    def trial(self, trial_id: int) -> Trial:
        """Return one trial. Raises ValueError if there is none with this id."""
        rows = self.query("SELECT * FROM trials WHERE id = ?", trial_id)
        if not rows:
            raise ValueError(f"{self.path} has no trial {trial_id}")
        return self._to_trial(rows[0])

    def trials(self, *, arm: str | None = None, stage: str | None = None, state: str | None = None) -> list[Trial]:
        """Return trials in the order of their ids: all, or those of an arm, a stage, a state."""
        wanted = {name: x for name, x in {"arm": arm, "stage": stage, "state": state}.items() if x is not None}
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
        return [
            self._to_trial(row)
            for row in self.query(f"SELECT * FROM trials WHERE {where} ORDER BY id", *wanted.values())
        ]

    def next_id(self) -> int:
        """Return the id that the next trial will have."""
        return self.query("SELECT coalesce(max(id), 0) + 1 FROM trials")[0][0]

    def controller_state(self, arm: str) -> bytes | None:
        """Return the state that was kept last for an arm; None if there is none."""
        rows = self.query("SELECT state FROM controllers WHERE arm = ?", arm)
        return rows[0][0] if rows else None

    def metrics(self, arm: str) -> list[dict[str, Any]]:
        """Return a dict an update of the arm: "arm", "at" (UNIX time), "trials" (consumed so far), and its numbers."""
        return [
            {
                **to_numbers(row["numbers"], f"{self.path} is damaged: update {row['id']}"),
                **{"arm": arm, "at": row["at"], "trials": row["trials"]},
            }
            for row in self.query("SELECT * FROM updates WHERE arm = ? ORDER BY id", arm)
        ]

    def events(self) -> list[Event]:
        """Return all events, oldest first."""
        return [
            Event(row["at"], row["trial"], row["kind"], row["message"])
            for row in self.query("SELECT * FROM events ORDER BY id")
        ]

    # === Parts ===

    def _to_trial(self, row: sqlite3.Row) -> Trial:
        try:
            return to_trial(row)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.path} is damaged: trial {row['id']}: {error}") from None

    def _change(self, trial_id: int, states: tuple[str, ...], assignments: str, values: tuple[Any, ...]) -> Trial:
        """Change a trial that is in one of `states`; sqlite3.IntegrityError if it is in another."""
        marks = ", ".join("?" * len(states))
        with self.transaction():
            changed = self._connection.execute(
                f"UPDATE trials SET {assignments} WHERE id = ? AND state IN ({marks})", (*values, trial_id, *states)
            )
            if changed.rowcount != 1:
                raise sqlite3.IntegrityError(f"trial {trial_id} is {self.trial(trial_id).state}, not {states[-1]}")
            return self.trial(trial_id)

    def _keep_state(self, arm: str, state: bytes) -> None:
        self._connection.execute(
            "INSERT INTO controllers VALUES (?, ?) ON CONFLICT (arm) DO UPDATE SET state = excluded.state", (arm, state)
        )


# What an evaluator of the user's own says may be anything; what is written can be read again.


def _is_sane(number: float) -> bool:
    return math.isfinite(number) and abs(number) <= limits.NUMBER


def _count(number: int | None) -> int | None:
    return number if number is not None and 0 <= number < 2**63 else None


def _seconds(seconds: float) -> float:
    return float(seconds) if 0 <= seconds <= limits.SEARCH_SECONDS else 0.0
