"""The report as text: what it says, that it stands alone, and that it takes any store."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.genotype import Genotype
from keras_nasnet.search.space.registry import SPACES, get_space
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import Error, Fidelity, Proposal, Result, Trial
from keras_nasnet.search.view.report import page, record, usage, write_report
from keras_nasnet.search.view.report.charts import Axis, axis
from tests.support.sample_search import HIGH, LOW, config, write_sample

_VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails where tags do not match."""

    def __init__(self, source: str):
        super().__init__()
        self.open, self.elements, self.attributes, self.words = [], Counter(), [], []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements[tag] += 1
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def _trial(number: int, reward: float | None, **values) -> Trial:
    """A trial of PPO that is done, or failed where it has no reward."""
    base = Trial(number, "ppo", (0,) * 50, f"key{number}", None, "search", LOW, 0, finished_at=float(number))
    state = {"state": "done", "reward": reward} if reward is not None else {"state": "failed", "reward": 0.0}
    return replace(base, **{**state, **values})


def _record(trials, arms=("ppo", "random"), events=(), updates=None, space="nasnet") -> record.Record:
    return record.Record(config(space=space), get_space(space), arms, trials, events, updates or {})


@pytest.mark.parametrize("space", SPACES.names())
def test_the_page_of_a_search_stands_alone_and_has_all_its_parts(tmp_path, space):
    write_sample(tmp_path, 60, space)
    written = write_report(tmp_path)
    assert written == tmp_path / "report.html"
    source = written.read_text(encoding="utf-8")
    seen = Page(source)
    for name, value in seen.attributes:
        if name in ("href", "src", "srcset", "data", "action", "poster", "xlink:href"):
            assert value.startswith(("#", "data:")), (name, value)
    links = set(re.findall(r"\w+://[^\s\"'<>)]+", source))
    assert links <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "@import" not in source and "url(" not in source
    assert seen.elements["section"] == 7 and seen.elements["script"] == 1
    titles = "Reward over time, Best cells, Reward against mult-adds, Use of operations, Entropy of the policy, Cost, "
    titles += "Faults and retries, Best children, Settings"
    for title in titles.split(", "):
        assert title in seen.text
    assert "nor_conv_3x3~0" in seen.text if space == "nasbench201" else seen.text.count("Reduction Cell") == 4


def test_the_same_store_gives_the_same_page_also_while_the_search_goes_on(tmp_path):
    write_sample(tmp_path, 20)
    first = write_report(tmp_path).read_bytes()
    with Store.open(tmp_path / FILE) as store, store.transaction():
        store.event("stop", "not on the disk yet")
        assert write_report(tmp_path / FILE, tmp_path / "other.html").read_bytes() == first
    assert b"not on the disk yet" in write_report(tmp_path).read_bytes()


@pytest.mark.parametrize("budget", [0, 1])
def test_a_store_with_hardly_a_trial_has_a_page(tmp_path, budget):
    write_sample(tmp_path, budget)
    seen = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert ("No child was judged yet." in seen.text) == (budget == 0)
    assert ("Nothing to compare yet" in seen.text) == (budget == 0)


def test_a_search_of_which_every_child_failed_has_a_page():
    failed = [_trial(number, None, error=Error("nan", "the loss is nan")) for number in range(1, 30)]
    seen = Page(page.html(_record(failed)))
    assert "Nothing to compare yet (children judged so far: ppo 29, random control 0)" in seen.text
    assert "29 failed" in seen.text
    assert sum(value == "points cross" for name, value in seen.attributes if name == "class") == 1


def test_what_a_search_says_is_shown_and_never_run(tmp_path):
    evil = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&amp;\x00\x1b"
    write_sample(tmp_path, 60, name=evil, message=evil)
    seen = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert seen.elements["script"] == 1 and seen.elements["img"] == 0
    assert "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&amp;\ufffd\ufffd" in "".join(seen.words)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]


def test_controller_and_control_are_compared_over_the_same_number_of_trials():
    trials = [_trial(number, 0.5 + number / 1000) for number in range(1, 101)]
    trials += [_trial(100 + number, 0.52, arm="random") for number in range(1, 31)]
    (line,) = page.verdict(_record(trials))
    assert line == (
        "Best reward at equal budget, the first 30 of each: ppo 0.5300 (0 of 30 failed); "
        "random control 0.5200 (0 of 30 failed). This is one run of each: a difference may be chance. "
        "(Children judged so far: ppo 100, random control 30.)"
    )
    (line,) = page.verdict(_record(trials[:100], arms=("ppo",)))
    assert "no random control" in line


def test_the_cost_is_split_by_stage():
    seconds = {"proxy": 360.0, "search": 3600.0, "selection": 7200.0, "final": 36000.0}
    trials = [_trial(number, 0.5, stage=stage, seconds=value) for number, (stage, value) in enumerate(seconds.items())]
    seen = Page(page.html(_record(trials, arms=("ppo",))))
    assert re.search(r"ppo\s+1\.1 h\s+2 h\s+10\.0 h\s+13\.1 h", seen.text)


def test_children_that_came_further_stand_first():
    trials = [
        _trial(1, 0.9),
        _trial(2, 0.6),
        _trial(3, 0.7, key="key2", stage="selection", fidelity=HIGH),
        _trial(4, 0.5, key="key2", stage="final", fidelity=HIGH),
        _trial(5, 0.8, stage="selection", fidelity=HIGH),
        _trial(6, 0.85, stage="selection", fidelity=Fidelity(3)),
        _trial(7, None),
        _trial(8, 0.9, key="key1"),
    ]
    assert [trial.id for trial in record.best_children(trials)] == [4, 5, 6, 1]


@given(st.lists(st.none() | st.floats(0, 1), max_size=60))
def test_running_best_and_moving_mean_are_what_they_say(rewards):
    best = dict(record.running_best(rewards))
    for number in range(1, len(rewards) + 1):
        seen = [reward for reward in rewards[:number] if reward is not None]
        so_far = [best[step] for step in best if step <= number]
        assert (so_far[-1] if so_far else None) == (max(seen) if seen else None)
    values = [reward for reward in rewards if reward is not None]
    expected = [np.mean(values[max(0, end - 10) : end]) for end in range(1, len(values) + 1)]
    np.testing.assert_allclose(record.moving_mean(values, 10), expected, atol=1e-12)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), max_size=40))
def test_no_child_is_as_cheap_and_better_than_one_on_the_pareto_front(pairs):
    trials = [_trial(number, reward / 20, mult_adds=cost) for number, (cost, reward) in enumerate(pairs)]
    front = {(trial.mult_adds, trial.reward) for trial in record.pareto_front(trials, lambda trial: trial.mult_adds)}
    every = {(trial.mult_adds, trial.reward) for trial in trials}
    assert front == {
        (cost, reward)
        for cost, reward in every
        if not any((c <= cost and r > reward) or (c < cost and r >= reward) for c, r in every)
    }


@pytest.mark.parametrize("name", SPACES.names())
def test_shares_of_operations_are_those_of_the_genotypes(name):
    space, rng = get_space(name), np.random.default_rng(0)
    trials = [_trial(number, None, tokens=space.sample(rng)) for number in range(50)]
    names, middles, shares = record.operation_shares(space, trials)
    assert middles.tolist() == [13.0, 38.0]  # two windows of 25
    for window, row in zip((trials[:25], trials[25:]), shares, strict=True):
        counts: Counter[str] = Counter()
        for trial in window:
            genotype = space.genotype(trial.tokens)
            if isinstance(genotype, Genotype):
                for cell in (genotype.normal, genotype.reduction):
                    counts.update(name for block in cell.blocks for name in block.operations)
            else:
                counts.update(re.findall(r"(\w+)~", genotype))
        np.testing.assert_allclose(row, [counts[name] / counts.total() for name in names])


def test_an_operation_of_ones_own_is_shown_as_well(monkeypatch):
    space, rng = get_space("nasnet"), np.random.default_rng(0)
    record = _record([_trial(number, None, tokens=space.sample(rng)) for number in range(20)])
    monkeypatch.delitem(usage._OPERATION_COLOURS, "identity")
    chart = usage.usage_chart(record, "ppo")
    assert "identity:" in chart and usage._OTHER_COLOUR in chart


@given(st.lists(st.floats(-1e12, 1e12), max_size=5), st.booleans(), st.booleans(), st.booleans())
def test_axes_hold_their_values_and_have_distinct_ticks(values, zero, log, whole):
    if zero or whole:
        values = [abs(value) for value in values]
    shown = axis("x", values, zero, log, whole)
    ticks = [value for value, _ in shown.ticks()]
    assert len(ticks) <= 20 and len(set(ticks)) == len(ticks) and (ticks or shown.log or shown.high > 1e3)
    for value in [*values, *ticks]:
        assert -1e-6 <= shown.place(value) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (Axis("x", 0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0"),
        (Axis("x", 1, 2, whole=True), "1 2"),
        (Axis("x", 0.912, 0.934), "0.915 0.920 0.925 0.930"),
        (Axis("x", 1, 20_000), "5,000 10,000 15,000 20,000"),
        (Axis("x", 9e5, 3e7, log=True), "1M 2M 5M 10M 20M"),
    ],
)
def test_ticks_are_round(shown, words):
    assert " ".join(label for _, label in shown.ticks()) == words


def test_a_page_of_20000_trials_is_small_and_its_cost_grows_with_them():
    rng, space = np.random.default_rng(0), get_space("nasnet")
    trials = [
        _trial(
            number,
            None if number % 20 == 0 else float(rng.random()),
            tokens=tuple(rng.integers(space.sizes).tolist()),
            arm=("ppo", "random")[number % 2],
            mult_adds=int(rng.integers(1e6, 1e8)),
            error=Error("nan", "x" * 500) if number % 20 == 0 else None,
        )
        for number in range(1, 20_001)
    ]
    updates = {"ppo": [{"trials": 20.0 * number, "entropy": 60.0} for number in range(1, 501)]}
    seconds = []
    for count in (2_000, 20_000):
        start = time.process_time()
        size = len(page.html(_record(trials[:count], updates=updates)))
        seconds.append(time.process_time() - start)
    assert size < 5e6
    assert seconds[1] < 50 * seconds[0], "10 times were linear, 100 times quadratic"


def test_faults_of_a_store_are_counted(tmp_path):
    with Store.create(tmp_path / FILE, config()) as store:
        (trial,) = store.add("ppo", [Proposal((0,) * 50)], ["key"], "search", LOW, [0], None)
        for worker in ("one", "two"):
            store.start(trial.id, worker, 2e9)
            store.retry(trial.id, Error("worker_lost", f"worker {worker} was killed"))
        store.start(trial.id, "three", 2e9)
        store.finish(trial.id, Result(None, error=Error("timeout", "too long")))
    seen = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert re.search(r"retry\s+2\s", seen.text) and re.search(r"worker_lost\s+2\s", seen.text)
    assert re.search(r"timeout\s+1\s+1\s", seen.text)  # one event, failed for good once in ppo
    assert "worker two was killed" in seen.text


def test_no_store_is_one_clear_line(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        write_report(tmp_path)


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    write_sample(tmp_path, 0)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        write_report(tmp_path, tmp_path / "taken")
    assert {path.name for path in tmp_path.iterdir()} <= {"taken", FILE, f"{FILE}-wal", f"{FILE}-shm"}


def test_the_report_is_imported_without_keras():
    code = (
        "import sys, keras_nasnet.search.view.report; print({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert answer.stdout.strip() == "set()"
