"""What is printed: escaped, valid JSON, and no reason to stop a run."""

import io
import json
import os
import subprocess
import sys

import pytest

from keras_nasnet.common.terminal import OutputLost, Stderr, echo, echo_json, echo_text, say

CONTROLS = "a\x1b[2J\r\x07\x9b\x7f\u202e\n\ud8ff"


def test_a_line_is_one_line_without_control_characters(capsys):
    echo(f"name {CONTROLS}")
    say(CONTROLS)
    shown = capsys.readouterr()
    assert shown.out == "name a\\x1b[2J\\r\\x07\\x9b\\x7f\\u202e\\n\\ud8ff\n"
    assert shown.err.count("\n") == 1 and "\x1b" not in shown.err


def test_text_keeps_its_lines(capsys):
    echo_text("one\n\ttwo\x1b\n\n")
    assert capsys.readouterr().out == "one\n\\ttwo\\x1b\n\n"


def test_json_is_valid_whatever_is_in_it(capsys):
    echo_json({"name": CONTROLS, "values": [float("nan"), float("inf"), 1.5], "deep": {"x": (-float("inf"),)}})
    line = capsys.readouterr().out
    assert all(32 <= ord(character) < 127 for character in line.rstrip("\n"))
    assert json.loads(line) == {"name": CONTROLS, "values": [None, None, 1.5], "deep": {"x": [None]}}


def test_what_an_encoding_lacks_is_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    echo("caf\u00e9 \u2588")
    assert stream.buffer.getvalue() == b"caf\\xe9 \\u2588\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_stdout_is_an_error_and_a_full_stderr_is_none(monkeypatch):
    with open("/dev/full", "w") as full, pytest.raises(OutputLost, match="No space left") as caught:
        monkeypatch.setattr(sys, "stdout", full)
        echo("lost")
    assert caught.value.exit_code == 1
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        say("lost")
        Stderr().write("lost")
        Stderr().flush()


def test_a_pipe_that_nobody_reads_ends_in_silence(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as gone, pytest.raises(OutputLost) as caught:
        monkeypatch.setattr(sys, "stdout", gone)
        echo("lost")
    assert caught.value.exit_code == 141 and str(caught.value) == ""


def test_a_closed_stream_says_nothing(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    say("lost")
    assert not Stderr().isatty()
    Stderr().write("lost")
    monkeypatch.setattr(sys, "stdout", None)
    echo("nowhere")


def test_files_do_not_take_the_place_of_closed_streams(tmp_path):
    program = (
        "import os, sys; from keras_nasnet.common.terminal import open_closed_streams, say; open_closed_streams();"
        f"file = open({str(tmp_path / 'data')!r}, 'w'); say('not in the data'); os.write(2, b'nor this');"
        "sys.exit(0 if file.fileno() > 2 else 1)"
    )
    command = ["bash", "-c", 'exec "$0" -c "$1" 0<&- 1>&- 2>&-', sys.executable, program]
    assert subprocess.run(command).returncode == 0
    assert (tmp_path / "data").read_text() == ""
