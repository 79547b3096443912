"""Every fault that was once seen has a test: see fault_numbers.py."""

import re
from pathlib import Path

import pytest
from tests.fault_numbers import NUMBERS, numbers_of

TESTS = Path(__file__).parent


def test_none_is_left_out():
    trust, endings = (
        {f"A{n}" for n in range(1, 20)},
        {f"B{n}" for n in range(1, 19)},
    )  # B19 is that all tests pass under load
    wanted = trust | endings | {f"C{n}" for n in range(1, 17)} | {f"D{n}" for n in (1, 2, 3, 4, 5, 6, 9, 10, 14)}
    assert set(NUMBERS) == wanted
    assert numbers_of("tests/sdk/test_tool_rules.py::test_raw_schemas_have_the_same_rules[a-b]") == ["C4"]
    assert numbers_of("tests/test_fault_numbers.py::test_none_is_left_out") == []


@pytest.mark.parametrize("number", NUMBERS)
def test_the_tests_of_a_number_are_there(number):
    assert NUMBERS[number]
    for name in NUMBERS[number]:
        path, *within, function = name.split("::")
        text = (TESTS / path).read_text(encoding="utf-8")
        for kind in within:
            text = re.split(rf"^class {kind}\b", text, maxsplit=1, flags=re.MULTILINE)[1]
            text = re.split(r"^\S", text.partition("\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
        indent = "    " if within else ""
        assert re.search(rf"^{indent}(async )?def {function}\(", text, re.MULTILINE), name
