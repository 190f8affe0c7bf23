"""The search spaces that there are, by name. Nothing here imports Keras."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from keras_nasnet.common.registry import Registry
from keras_nasnet.search.space.contract import SearchSpace

# No "module:attribute": whoever draws a report of a search that others ran must not run their code.
SPACES: Registry[Callable[..., SearchSpace]] = Registry(
    "space",
    {
        "nasnet": "keras_nasnet.search.space.cells:NASNetSpace",
        "darts_like": "keras_nasnet.search.space.cells:DartsLikeSpace",
        "nasbench201": "keras_nasnet.search.space.nasbench201:NASBench201",
    },
)


def get_space(space: str | Mapping[str, Any]) -> SearchSpace:
    """Return a search space by its name, or from plain data.

    - "nasnet": the paper's; 5 blocks, 13 operations, combines "add" and "concat". Options: `blocks`, `operations` and
      `combines` (all of `genotype.COMBINES` are those that NASNet-B and C came from).
    - "darts_like": 4 blocks, the 8 operations of DARTS, sums only, all blocks concatenated.
    - "nasbench201": 6 edges with one of 5 operations each.

    Args:
        space: one of `SPACES`, or {"name": one of them, and its options}.

    Raises:
        ValueError: if there is no such space, or it has no such option; says which there are.

    Example:
        >>> get_space("nasnet").length
        50
        >>> space = get_space({"name": "nasnet", "blocks": 2, "combines": ["add"]})
        >>> space.kinds[:4], space.sizes[:4]
        (('input', 'input', 'operation', 'operation'), (2, 2, 13, 13))
        >>> get_space("nas")
        Traceback (most recent call last):
        ValueError: space is 'nas': choose from nasnet, darts_like, nasbench201
    """
    options = {"name": space} if isinstance(space, str) else dict(space)
    name = options.pop("name", None)
    make = SPACES.get(name)
    known = list(inspect.signature(make).parameters)
    if unknown := sorted(options.keys() - set(known)):
        raise ValueError(f"the space {name} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return make(**options)
