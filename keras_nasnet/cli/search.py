"""`keras-nasnet search`: runs the architecture search, and shows what comes of it."""

import errno
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.common import limits
from keras_nasnet.common.names import check_name
from keras_nasnet.common.terminal import echo, echo_json, echo_text
from keras_nasnet.search.controller.registry import CONTROLLERS
from keras_nasnet.search.executors.registry import EXECUTORS
from keras_nasnet.search.run.presets import PRESETS
from keras_nasnet.training.recipe import STRATEGIES

if TYPE_CHECKING:
    from keras_nasnet.search.store.store import Store

_DEFAULT = "quick"
_FOLDER = click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))


@click.group("search")
def search_group() -> None:
    """Search for cells, as the paper did, and look at what was found."""


@search_group.command("run")
@click.option("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}, or a plan in a .toml file.  [default: quick]")
@click.option("--data", help="digits, tfds:NAME, a folder of class folders, or a .npz file.")
@click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")
@click.option(
    "--image-size", type=int, metavar="N", help="Side of the images in pixels.  [default: theirs; 32 in folders]"
)
@click.option("--budget", type=click.IntRange(1), metavar="N", help="Children of each controller.")
@click.option(
    "--controller", metavar="NAME", help=f"{', '.join(CONTROLLERS)}, or your own MODULE:CLASS, for the preset's first."
)
@click.option("--seed", type=click.IntRange(0), help="Of everything random.  [default: 0]")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/search-PRESET]")
@click.option("--resume", metavar="FOLDER", type=click.Path(path_type=Path), help="Go on with the search in a folder.")
@click.option("--trust", is_flag=True, help="With --resume: the folder's plan may run the code that it names.")
@click.option("--strategy", type=click.Choice(STRATEGIES[:3]), default="default", help="Under which policies learn.")
@click.option(
    "--engine",
    metavar="NAME",
    default="local",
    show_default=True,
    help=f"Where children train: {', '.join(EXECUTORS)}, or your own MODULE:CLASS.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, limits.SEARCH_WORKERS),
    metavar="N",
    help="Default: one a GPU, or for each two cores.",
)
@click.option("--address", help="Of a Ray cluster: HOST:PORT, or auto.")
@click.option("--print", "only_print", is_flag=True, help="Print the plan as TOML and do nothing.")
def run_command(
    preset: str | None,
    data: str | None,
    data_dir: str | None,
    image_size: int | None,
    budget: int | None,
    controller: str | None,
    seed: int | None,
    out: Path | None,
    resume: Path | None,
    trust: bool,
    strategy: str,
    engine: str,
    workers: int | None,
    address: str | None,
    only_print: bool,
) -> None:
    """Run a search, beside random search with the same budget.

    Without options: minutes on two cores, on scikit-learn's digits. Ctrl-C stops it; --resume goes on,
    also with other workers or another engine.
    """
    with reporting_errors():
        options: dict[str, Any] = {
            "data": data,
            "data_dir": data_dir,
            "image_size": image_size,
            "budget": budget,
            "controller": controller,
            "seed": seed,
        }
        plan = None
        if trust and resume is None:
            raise ValueError("--trust is for --resume: a plan that you give is trusted, so read it before")
        if resume is None:
            from keras_nasnet.search.run.presets import adapt_plan, get_plan

            plan = adapt_plan(get_plan(preset or _DEFAULT), **options)
        else:
            given = [name for name, value in {"preset": preset, "out": out, **options}.items() if value is not None]
            if given:
                raise ValueError(
                    f"--{given[0].replace('_', '-')} and --resume: what is resumed is searched as it began"
                )
        if only_print:
            if plan is None:
                raise ValueError("--print and --resume: `search status` shows what a folder holds")
            from keras_nasnet.search.run.presets import to_toml

            echo_text(to_toml(plan))
            return
        if address is not None and "address" not in inspect.signature(EXECUTORS.get(engine)).parameters:
            raise ValueError(f"--address is of a Ray cluster, and --engine is {engine}")
        from keras_nasnet.search.launch import BEST_FILE, search

        folder = resume or out or Path("runs") / f"search-{check_name(plan.name, 'a plan') if plan else ''}"
        place: dict[str, Any] = {} if address is None else {"address": address}
        outcome = search(
            plan,
            folder,
            engine=engine,
            workers=workers,
            strategy=strategy,
            resume=resume is not None,
            trust=trust,
            **place,
        )
        if outcome is None:
            return
        for arm, trial in outcome.best.items():
            echo(f"best of {arm}: reward {trial.reward:.4f} (trial {trial.id}, {trial.stage}; {trial.fidelity})")
        echo(f"wrote {folder / BEST_FILE}, {folder / 'report.html'}")


@search_group.command("status")
@_FOLDER
@click.option("--json", "as_json", is_flag=True, help="All of it, for programs.")
def status_command(folder: Path, as_json: bool) -> None:
    """Show how far a search is, also while it runs."""
    with reporting_errors():
        from keras_nasnet.search.view.progress import counts, summary
        from keras_nasnet.search.view.status import status

        with _store(folder) as store:
            now = status(store)
        if as_json:
            echo_json(now, indent=2)
            return
        done, planned = counts(now)
        echo(f"{done} of {planned} trials, {now['trials']['running']} running  {summary(now)}")
        for name, stage in now["stages"].items():
            hours = f"{stage['hours']:.2f} {now['unit']}-hours"
            echo(f"  {name:9}  {stage['finished']:>6} of {stage['planned']:<6}  {hours}")
        for name, arm in now["arms"].items():
            best = "none yet" if arm["best"] is None else f"{arm['best']:.4f}"
            echo(f"  {name:9}  {arm['finished']:>6} of {arm['budget']:<6}  best {best}")
        for kind, count in now["faults"].items():
            echo(f"  {kind}: {count}")


@search_group.command("report")
@_FOLDER
@click.option("--out", type=click.Path(path_type=Path), help="The page.  [default: FOLDER/report.html]")
def report_command(folder: Path, out: Path | None) -> None:
    """Draw a search as one HTML page, also while it runs."""
    with reporting_errors():
        from keras_nasnet.search.view.report import write_report

        try:
            written = write_report(_file(folder), out)
        except OSError as error:
            if out is None and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise ValueError(
                    f"{folder} cannot be written ({error.strerror}): choose another place by --out"
                ) from None
            raise
        echo(f"wrote {written}")


@search_group.command("export")
@_FOLDER
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--trial", type=click.IntRange(1), metavar="N", help="Whose child, instead of the best.")
def export_command(folder: Path, file: Path, trial: int | None) -> None:
    """Write the best child as genotype FILE.json, or all trials as FILE.csv or FILE.parquet."""
    with reporting_errors():
        from keras_nasnet.search.view.export import FORMATS, export_best, export_trials

        suffixes = (".json", *FORMATS)
        if file.suffix not in suffixes:
            raise ValueError(f"{file}: the file's name must end in {', '.join(suffixes)}")
        if trial is not None and file.suffix != ".json":
            raise ValueError(f"--trial is for a genotype, a .json file: {file} takes all trials")
        with _store(folder) as store:
            if file.suffix == ".json":
                chosen = export_best(store, file, trial)
                reward = "no reward" if chosen.reward is None else f"reward {chosen.reward:.4f}"
                echo(f"wrote {file}: trial {chosen.id} of {chosen.arm}, {chosen.stage}, {reward}")
            else:
                echo(f"wrote {file}: {export_trials(store, file)} trials")


def _store(folder: Path) -> "Store":
    from keras_nasnet.search.store.store import Store

    return Store.open(_file(folder), readonly=True)


def _file(folder: Path) -> Path:
    from keras_nasnet.search.store.store import FILE

    if not (folder / FILE).exists():
        raise ValueError(f"{folder} holds no search: it has no {FILE}")
    return folder / FILE
