"""What was wrong with annotations is said, in lines that are few and safe, and all of it kept."""

from keras_nasnet.detection.data.dataset import Problem
from keras_nasnet.detection.problems import FILE, SHOWN, tell


def test_the_first_are_said_and_all_are_in_a_file(tmp_path):
    problems = [Problem("bad_xml", f"{number}.xml", "\x1b[2J: dropped") for number in range(SHOWN + 5)]
    said = []
    tell(problems, tmp_path, said.append)
    assert len(said) == SHOWN + 1 and said[0] == "0.xml: \\x1b[2J: dropped"
    assert said[-1] == f"and 5 more: {tmp_path / FILE} has all"
    assert len((tmp_path / FILE).read_text().splitlines()) == SHOWN + 5
    said.clear()
    tell(problems, None, said.append)
    assert said[-1] == "and 5 more"


def test_few_make_no_file(tmp_path):
    said = []
    tell([Problem("bad_xml", "a.xml", "dropped")], tmp_path, said.append)
    assert said == ["a.xml: dropped"] and list(tmp_path.iterdir()) == []
