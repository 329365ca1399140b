from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Mistakes = Callable[[str], list[str]]
Read = Callable[[str], Any]
NAME = "is not the name of a kernel parameter"


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("inside", "mistake"),
    [
        ("min: 5, max: 1", "action_space[0]: min (5) must be below max (1)"),
        ("min: 5, max: 5", "action_space[0]: min (5) must be below max (5)"),
        ("min: 0, max: 10, step: 3", "action_space[0]: step 3 does not divide the range 0 to 10"),
        ("min: 0, max: 10, step: 0", "action_space[0].step: must be greater than or equal to 1, not 0"),
        ("min: 0, max: 10, step: -2", "action_space[0].step: must be greater than or equal to 1, not -2"),
        ("min: 0, max: 10, log: true", "action_space[0]: a log scale needs min above 0, not 0"),
        ("min: -5, max: 10, log: true", "action_space[0]: a log scale needs min above 0, not -5"),
        ("min: 0", "action_space[0].max: required, but missing"),
        ("min: 0, max: .nan", "action_space[0].max: must be a valid integer, not NaN"),
        ("min: 0, max: .inf", "action_space[0].max: must be a valid integer, not Infinity"),
        ("min: 0, max: 1e999", "action_space[0].max: must be a valid integer, not Infinity"),
        ("min: 0, max: 1.5", "action_space[0].max: must be a valid integer, not 1.5"),
        ('min: 0, max: "10"', 'action_space[0].max: must be a valid integer, not "10"'),
        ("min: 0, max: yes", "action_space[0].max: must be a valid integer, not true"),
        ("min: 0, max: null", "action_space[0].max: must be a valid integer, not null"),
        (
            "min: 0, max: 18446744073709551616",
            "action_space[0].max: must be less than 18446744073709551616, not 18446744073709551616",
        ),
        ("min: 0, max: 5, mim: 1", "action_space[0].mim: unknown key; did you mean min?"),
        ("type: bool, min: 0", "action_space[0].min: this key does not belong here"),
        (
            "min: 0, max: 1, type: float",
            "action_space[0].type: unknown type 'float'; choose one of int, bool, choice, vector "
            "(kernel parameters are whole numbers)",
        ),
        (
            "min: 0, max: 1, type: [a]",
            "action_space[0].type: unknown type '['a']'; choose one of int, bool, choice, vector",
        ),
        ("choices: [1]", "action_space[0].choices: must have at least 2 entries, not 1"),
        ("choices: [a, a]", "action_space[0].choices: a choice is listed twice"),
        ("choices: [1, '1']", "action_space[0].choices: a choice is listed twice"),
        ("choices: ['0x10', '020']", "action_space[0].choices: a choice is listed twice"),
        ('choices: ["a\\u202e", b]', "action_space[0].choices: every choice must be printable text or a whole number"),
        (
            "choices: [yes, no]",
            "action_space[0].choices: a choice cannot be true; write 1 or 0, or put yes, no, on and off in quotes",
        ),
        (
            "choices: [1.5, 2]",
            "action_space[0].choices: a choice cannot be 1.5; write whole numbers, or text in quotes",
        ),
        ("elements: [{min: 1, max: 2}]", "action_space[0].elements: must have at least 2 entries, not 1"),
        (
            "elements: [{value: 1}, {value: 2}]",
            "action_space[0].elements: all elements have a fixed value; at least one needs `min` and `max`",
        ),
        (
            "elements: [{value: 1, min: 2, max: 3}, {min: 1, max: 2}]",
            "action_space[0].elements[0]: has both a value and a range; give `value`, or `min` and `max`",
        ),
        (
            "elements: [{value: 1}, {min: 3}]",
            "action_space[0].elements[1]: needs `value`, or `min` and `max`",
        ),
        (
            "elements: [{value: 9}, {min: 1, max: 5}]",
            "constraints: the ranges leave no value for which `vm.x[0] <= vm.x[1]` holds; the numbers of a vector "
            "must not decrease, unless the parameter has `ordered: false`",
        ),
    ],
)
def test_says_what_is_wrong_with_a_range(inside: str, mistake: str, mistakes_of_parameter: Mistakes) -> None:
    assert mistakes_of_parameter(f"param: vm.x, {inside}") == [mistake]


@pytest.mark.parametrize("number", ["010", "-007", "1:30"])
def test_refuses_a_number_that_yaml_reads_as_another(number: str, mistakes_of_parameter: Mistakes) -> None:
    (line,) = mistakes_of_parameter(f"param: vm.x, min: -100, max: {number}")
    assert line.endswith(f"YAML reads '{number}' as an octal or base-60 number; write it in plain decimal digits")


@pytest.mark.parametrize(
    "name",
    [
        "net/../../etc",
        "vm.*",
        r"vm.swappiness\n",
        "vm.sw\u0430ppiness",  # a Cyrillic a
        "vm..swappiness",
        "/proc/sys/vm/swappiness",
        "swappiness",
        "",
        "{{ lookup('pipe', 'id') }}",
    ],
)
def test_refuses_what_is_no_name(name: str, mistakes_of_parameter: Mistakes) -> None:
    (line,) = mistakes_of_parameter(f'param: "{name}", min: 0, max: 1')
    assert line.startswith("action_space[0].param: ")
    assert NAME in line


@pytest.mark.parametrize(
    "name",
    [
        "kernel.core_pattern",
        "kernel.modprobe",
        "kernel.usermodehelper.bset",
        "kernel.modules_disabled",
        "kernel.randomize_va_space",
        "kernel.yama.ptrace_scope",
        "net.ipv4.conf.all.rp_filter",
        "fs.protected_symlinks",
        "kernel/sysrq",
    ],
)
def test_refuses_what_weakens_security(name: str, mistakes_of_parameter: Mistakes) -> None:
    (line,) = mistakes_of_parameter(f"param: {name}, min: 0, max: 1")
    assert "is on the denylist" in line
    assert "allow_unsafe" in line


def test_a_parameter_is_no_mere_word(mistakes: Mistakes) -> None:
    text = "workload_name: w\nreward_metric: m\nbenchmark_command: iperf3\naction_space: [vm.swappiness]\n"
    assert mistakes(text) == ['action_space[0]: must be a mapping of keys to values, not "vm.swappiness"']


@pytest.mark.parametrize(
    ("parameter", "choices", "kept"),
    [
        ("net.ipv4.ip_local_reserved_ports", '"5030", "8081,8080", "0x50-90"', ("5030", "8080-8081", "80-90")),
        ("net.ipv4.tcp_fastopen", '1, "0x403"', (1, "1027")),
        ("kernel.printk_devkmsg", '"on", "0x10"', ("on", "0x10")),
    ],
)
def test_choices_are_spelt_as_the_kernel_will_show_them(
    parameter: str, choices: str, kept: tuple[object, ...], read: Read
) -> None:
    head = "workload_name: w\nreward_metric: m\nbenchmark_command: python3 bench.py\n"
    study = read(
        f"{head}action_space: [{{param: {parameter}, choices: [{choices}]}}]\nallow_unsafe: [{parameter}]\n"
    ).study
    assert study.space.axes[0].choices == kept
