"""What a run's folder that comes from elsewhere would do when its search goes on: asked once, then remembered.

A plan may name code ("module:Class"), and a folder may have links that lead out of it. Whoever makes a plan trusts it.
Whoever goes on with a folder may have it from somebody else: such things then need a word of theirs. What was trusted
is remembered under `KERAS_HOME`, never in the folder, and holds for this folder with this very plan.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from keras_nasnet.common.escape import printable
from keras_nasnet.common.files import write_text
from keras_nasnet.common.home import home
from keras_nasnet.search.controller.registry import CONTROLLERS
from keras_nasnet.search.evaluators.registry import EVALUATORS
from keras_nasnet.search.run.plan import Plan
from keras_nasnet.training.augmentation import AUGMENTATIONS

_SHOWN = 5


def check_trust(folder: Path, plan: Plan, trust: bool = False) -> None:
    """Raise ValueError if what a folder holds would run code of its own or write outside, and nobody trusts it.

    Args:
        folder: of a run that is to go on.
        plan: in its store.
        trust: whether the user says so now; it is remembered.
    """
    if trust:
        remember(folder, plan)
        return
    asked = [*foreign_code(plan), *links_outside(folder)]
    if asked and not _note(folder, plan).exists():
        more = f" and {len(asked) - _SHOWN} more" if len(asked) > _SHOWN else ""
        raise ValueError(
            f"{folder} would run code or write files that are not its own: {'; '.join(asked[:_SHOWN])}{more}. "
            "If you know who made it, --trust says so, once"
        )


def remember(folder: Path, plan: Plan) -> None:
    """Note that a folder with this plan is the user's own, or trusted; where that cannot be, it is asked again."""
    if foreign_code(plan) or links_outside(folder):
        with contextlib.suppress(OSError):
            write_text(_note(folder, plan), f"{printable(folder)}\n")


def foreign_code(plan: Plan) -> list[str]:
    """Return the code that a plan names and no installed package offers, for people; imports none of it."""
    found = [f"controller {arm.controller}" for arm in plan.arms if arm.controller not in CONTROLLERS]
    for config in plan.evaluators.values():
        if config.get("name") not in EVALUATORS:
            found.append(f"evaluator {config.get('name')}")
        if config.get("augmentation", "none") not in AUGMENTATIONS:
            found.append(f"augmentation {config['augmentation']}")
        # A set of a community's is code that tensorflow-datasets downloads.
        data = config.get("data")
        if isinstance(data, str) and ":" in data.removeprefix("tfds:").split("/")[0]:
            found.append(f"dataset {data}")
    return [printable(name)[:200] for name in dict.fromkeys(found)]


def links_outside(folder: Path) -> list[str]:
    """Return the links in a folder that lead out of it, through which a search would write there, for people."""
    root = os.path.join(os.path.realpath(folder), "")
    found = []
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            if os.path.islink(path) and not os.path.realpath(path).startswith(root):
                found.append(printable(f"link {os.path.relpath(path, folder)} to {os.readlink(path)}")[:200])
    return found


def _note(folder: Path, plan: Plan) -> Path:
    key = json.dumps([os.path.realpath(folder), plan.to_dict()], sort_keys=True)
    return home() / "trusted_searches" / hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
