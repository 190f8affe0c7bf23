"""The executors, by name."""

from collections.abc import Callable
from typing import Any

from keras_nasnet.common.registry import Registry
from keras_nasnet.search.executors.contract import Executor, Job

# One of your own is called like these: with a `Job`, the number of workers or None, and its options.
EXECUTORS: Registry[Callable[..., Executor]] = Registry(
    "executor",
    {
        "local": "keras_nasnet.search.executors.local:LocalExecutor",
        "ray": "keras_nasnet.search.executors.ray_cluster:RayExecutor",
    },
    importable=True,
)


def make_executor(name: str, job: Job, workers: int | None = None, **options: Any) -> Executor:
    """Return a started executor.

    Args:
        name: one of `EXECUTORS`, or "module:Class" of your own.
        job: what its workers do.
        workers: how many; None: one a GPU, without GPUs one for each two CPU cores; "ray": as many as the cluster has
            room for.
        **options: of the executor, such as `address` of a Ray cluster.

    Raises:
        ValueError: if there is no such executor, or its package is not installed; says what to install.

    Example:
        With a table in which the first edge decides:

        >>> space = get_space("nasbench201")
        >>> with open("table.csv", "w") as file:
        ...     print("arch", "c10_valid_e12", "c10_test_e200", sep=",", file=file)
        ...     for tokens in np.ndindex(space.sizes):
        ...         print(space.genotype(tokens), 10 * tokens[0], 10 * tokens[0], sep=",", file=file)
        >>> table = {"name": "tabular", "path": "table.csv"}
        >>> job = Job(space.to_dict(), {"search": table}, folder="run")
        >>> executor = make_executor("local", job, workers=1)
        >>> executor.submit(Task(1, 0, (4, 0, 0, 0, 0, 0), "search", Fidelity(12), seed=0))
        'worker-1'
        >>> report, = executor.poll(60)
        >>> report.result.reward
        0.4
        >>> executor.close()
    """
    return EXECUTORS.get(name)(job, workers, **options)
