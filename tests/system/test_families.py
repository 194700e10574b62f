import pytest

from kerastl.system import families


@pytest.fixture
def family(tmp_path):
    (tmp_path / "one.py").write_text("import nothing_of_that_name\n\ndef load(path):\n    return path\n")
    (tmp_path / "two.py").write_text("class Load:\n    def load(self):\n        pass\n")
    (tmp_path / "three.py").write_text("load = 3\n")
    return tmp_path


def test_only_functions_at_the_top_are_found_and_nothing_is_imported(family):
    found = families.defining(family, "load")
    assert list(found) == ["one"]
    assert [argument.arg for argument in found["one"].args.args] == ["path"]
    assert families.defining(family, "save") == {}
