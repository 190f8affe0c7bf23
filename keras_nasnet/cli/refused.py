"""How a command says no."""

import click


class Refused(click.ClickException):
    """An error of one line, exit code 2."""

    exit_code = 2

    def __init__(self, message: object):
        super().__init__(" ".join(str(message).split()))
