"""The command as a process: signals at any time, and output that nobody reads."""

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from keras_nasnet.cli.main import COMMANDS, main

COMMAND = [sys.executable, "-m", "keras_nasnet.cli.main"]
# A command that waits in an import, as TensorFlow's takes seconds, and one that makes another error of the signal.
WAITING = """
import sys, click
from keras_nasnet.cli.main import main

@click.command("wait")
@click.argument("how")
def wait(how):
    if how == "import":
        import waiting_module
    if how == "ignore":
        try:
            import waiting_module
        except BaseException:
            print("swallowed", file=sys.stdout, flush=True)
        import time
        time.sleep(60)
    if how == "destructor":
        class Waiting:
            def __del__(self):
                import waiting_module
        Waiting()
        import time
        time.sleep(60)
    try:
        import waiting_module
    except BaseException as error:
        raise ImportError("cannot import name") from error

main.add_command(wait)
main(prog_name="keras-nasnet")
"""


@pytest.mark.parametrize("how", ["import", "swallow", "ignore", "destructor"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_midst_of_an_import_is_one_line(number, how, tmp_path):
    (tmp_path / "waiting_module.py").write_text("import time; print('here', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, "wait", how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == f"Error: stopped by {number.name}\n" and out == ("swallowed\n" if how == "ignore" else "")


@pytest.mark.parametrize(
    ("redirection", "code", "errors"),
    [
        ("| true", 141, ""),
        (">/dev/full", 1, "Error: the output cannot be written (No space left on device)\n"),
        (">/dev/full 2>/dev/full", 1, ""),
        (">&-", 0, ""),
        ("2>&- >/dev/null", 0, ""),
    ],
)
def test_output_that_goes_nowhere(redirection, code, errors):
    # `| true`: a pipe whose reader is gone, without a race.
    if redirection == "| true":
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([*COMMAND, "zoo", "list"], stdout=write, stderr=subprocess.PIPE, text=True)
        os.close(write)
    else:
        script = f'exec "$@" {redirection}'
        done = subprocess.run(
            ["bash", "-c", script, "bash", *COMMAND, "zoo", "list"], stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (code, errors)


def test_every_command_is_there_and_has_help():
    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0 and f"{name} " in result.output


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "x.toml/" + "b" * 300, "nul\x01\x1b[2J"])
@pytest.mark.parametrize("command", [["classify"], ["train"], ["evaluate", "x", "--data"], ["search", "status"]])
def test_names_that_no_file_can_have_are_one_line(command, name):
    result = CliRunner().invoke(main, [*command, name])
    assert result.exit_code == 2 and result.output.count("\n") == 1
    assert result.output.startswith("Error: ") and "\x1b" not in result.output


@pytest.mark.parametrize(
    "line", [["classify", ""], ["train", "cifar10", "--out", ""], ["train", "cifar10", "--out="], ["features", " "]]
)
def test_an_empty_argument_is_not_the_current_folder(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2 and "is a variable of the shell not set?" in result.output
    assert not list(tmp_path.iterdir())


def test_what_click_says_is_escaped_too():
    result = CliRunner().invoke(main, ["export", "m", "--to", "\x1b[2J"])
    assert result.exit_code == 2 and "\x1b" not in result.output
