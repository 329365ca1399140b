from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10, "10"),
        (-1, "-1"),
        (10.0, "10"),
        (1e6, "1000000"),
        (" 10\n", "10"),
        ("4096\t131072  6291456", "4096 131072 6291456"),
        ([4096, "131072", 6291456.0], "4096 131072 6291456"),
        ("", ""),
    ],
)
def test_values_as_the_kernel_writes_them(value: object, text: str) -> None:
    assert _value.text_of("a.b", value) == text


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (True, "true is a boolean; write 1 or 0"),
        ([1, False], "false is a boolean"),
        (0.5, "is not a whole number"),
        (float("nan"), "is not a whole number"),
        (float("inf"), "is not a whole number"),
        (None, "is not a number, a string or a list"),
        ({"a": 1}, "is not a number, a string or a list"),
        ([], "the list is empty"),
        ("1\n2", "other than printable ASCII"),
        ("1\0", "other than printable ASCII"),
        ("٣", "other than printable ASCII"),
        ("1" * 5000, "longer than"),
    ],
)
def test_refuses_what_is_no_value(value: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.b: ") as error:
        _value.text_of("a.b", value)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("parameter", "spellings", "kept"),
    [
        ("net.ipv4.tcp_fastopen", ["0x403", "0X403", "02003", "1027", 1027], "1027"),
        ("vm.overcommit_memory", ["2", "02", "0x2", "0002"], "2"),
        ("net.ipv4.tcp_syncookies", ["0", "00", "0x0", "-0"], "0"),
        ("kernel.panic", ["-1", "-01", "-0x1"], "-1"),
        ("net.ipv4.tcp_rmem", ["0x1000\t010  16", [4096, "010", "0x10"]], "4096 8 16"),
        ("net.ipv4.ip_local_reserved_ports", ["8080,8081", "8081,0x1f90", [8080, 8081], "8080, 8081"], "8080-8081"),
        ("net.ipv4.ip_local_reserved_ports", ["5030,30000-32767", ["30000-32767", 5030]], "5030,30000-32767"),
        ("net.ipv4.ip_local_reserved_ports", ["", " "], ""),
        ("net.core.flow_limit_cpu_bitmap", ["f", "0F", "00000000,0000000f"], "f"),
        ("net.core.flow_limit_cpu_bitmap", ["10", "010"], "10"),  # a mask is hexadecimal already
        ("sunrpc.rpc_debug", ["0", "0x0000", "00"], "0x0000"),  # the kernel shows it so
        ("kernel.hostname", ["010"], "010"),
        ("kernel.core_pattern", ["0x10"], "0x10"),
        ("block.sda.nr_requests", ["010"], "010"),
    ],
)
def test_every_spelling_of_a_value_is_the_kernels(parameter: str, spellings: list[object], kept: str) -> None:
    assert {_value.text_of(parameter, spelling) for spelling in spellings} == {kept}


@pytest.mark.parametrize(
    "text", ["08", "0x", "+1", "1e2", "--1", "1,2", "0xg", "much", "1-2", "\u0661", "", "0" * 20 + "5", "9" * 4000]
)
def test_what_the_kernel_reads_as_no_number_stays_as_it_is(text: str) -> None:
    assert _value.numbers(text) is None
    assert _value.normalized("vm.swappiness", text) == text


@pytest.mark.parametrize("text", ["9-3", "a", "1-", "-1", "1-2-3", "08"])
def test_what_is_no_list_of_ranges_stays_as_it_is(text: str) -> None:
    assert _value.ranges(text) is None
    assert _value.normalized("net.ipv4.ip_local_reserved_ports", text) == text


@pytest.mark.parametrize(
    ("shown", "text", "wide"),
    [("0", "3", "3"), ("0000", "f", "000f"), ("00,00000000", "1ffffffff", "01,ffffffff"), ("0", "ff", "ff")],
)
def test_a_mask_is_as_wide_as_the_kernel_shows_it(shown: str, text: str, wide: str) -> None:
    assert _value.as_wide_as(shown, "net.core.rps_default_mask", text) == wide
    assert _value.as_wide_as(shown, "kernel.hostname", text) == text
