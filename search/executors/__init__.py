"""Where children are evaluated: in processes of this machine, or on a Ray cluster.

`contract` says what an executor takes and answers, `registry` lists those there are. `worker` is what each of their
workers does with a task; `pool` is what the executors do with their workers.
"""
