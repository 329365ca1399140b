from __future__ import annotations

import errno
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue, _kernel, _machine, _transaction
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change, Failure

MANY = {
    "vm.swappiness": "10",
    "net.core.somaxconn": "1024",
    "net.ipv4.tcp_rmem": "4096 65536 1048576",
    "vm.dirty_bytes": "8388608",
    "vm.dirty_background_bytes": "4194304",
}


def apply(values: dict[str, str], **keywords: Any) -> dict[str, Change]:
    return _transaction.carry_out(_transaction.prepare(values, **keywords))


def test_sets_many_and_tells_what_it_found(kernel: Any) -> None:
    changes = apply({**MANY, "net.core.netdev_max_backlog": "1000"})
    assert {parameter: kernel.get(parameter) for parameter in MANY} == MANY
    assert changes["net.ipv4.tcp_rmem"] == Change(
        "applied", "4096 65536 1048576", "4096 131072 6291456", "4096 65536 1048576"
    )
    assert changes["net.core.netdev_max_backlog"].status == "unchanged"
    assert "net.core.netdev_max_backlog" not in dict(kernel.written)


def test_an_accepted_value_which_the_kernel_changed_is_clamped(kernel: Any) -> None:
    change = apply({"net.core.somaxconn": "70000"})["net.core.somaxconn"]
    assert (change.status, change.applied) == ("clamped", "65535")


@pytest.mark.parametrize(
    ("parameter", "value", "status", "said"),
    [
        ("vm.nonsense", "1", "missing", "vm.nonsense does not exist here"),
        ("vm.swapiness", "1", "missing", "did you mean vm.swappiness?"),
        ("kernel.sched_latency_ns", "1", "missing", "moved to /sys/kernel/debug/sched"),
        ("kernel.core_pattern", "x", "denied", "add it to allow_unsafe"),
        ("net.core.rmem_max", "1", "read_only", "cannot be written"),
        ("vm.swappiness", "much", "rejected", "takes one whole number, not 'much'"),
        ("vm.swappiness", "1 2", "rejected", "takes one whole number, '1 2' has 2"),
        ("net.ipv4.tcp_rmem", "4096", "rejected", "takes 3 whole numbers, '4096' has 1"),
        ("net.ipv4.tcp_rmem", "3 2 1", "rejected", "must ascend"),
        ("net.ipv4.tcp_rmem", "4096,131072,6291456", "rejected", "takes 3 whole numbers, not"),
        ("net.ipv4.ip_local_reserved_ports", "much", "rejected", "takes numbers and ranges, such as 5030,8080-8089"),
        ("net.core.flow_limit_cpu_bitmap", "all", "rejected", "takes a hexadecimal CPU mask, such as f, not 'all'"),
        ("net.ipv4.neigh.eth0.1.gc_stale_time", "5", "missing", "write net/ipv4/neigh/eth0.1/gc_stale_time"),
        ("net.ipv4.conf.eth0.100.rp_filter", "5", "denied", "rp_filter is denied"),
        ("net.ipv4.conf.eth0.100.tag", "5", "missing", "contains dots, write net/ipv4/conf/eth0.100/tag"),
        (
            "block.sda.nr_requests",
            "0128",
            "rejected",
            "takes one whole number, decimal and without leading zeros, not '0128'",
        ),
        (
            "block.sda.nr_requests",
            "0x80",
            "rejected",
            "takes one whole number, decimal and without leading zeros, not '0x80'",
        ),
        ("net.ipv4.conf.default.arp_ignore", "1", "rejected", "also changes interface 'a*b', whose name"),
        ("net.core.netdev_max_backlog", "5", "rejected", "cannot be read"),
    ],
)
def test_a_fault_is_named_before_anything_is_written(
    parameter: str, value: str, status: str, said: str, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.read_only.add("net.core.rmem_max")
    kernel.write_only.add("net.core.netdev_max_backlog")
    kernel.put("net.core.flow_limit_cpu_bitmap", "0")
    kernel.put("net.ipv4.conf.default.arp_ignore", "0")
    (kernel.root / "net/ipv4/conf/a*b").mkdir()
    (kernel.root / "net/ipv4/conf/a*b/arp_ignore").write_text("0\n")
    kernel.put("block.sda.nr_requests", "64")
    monkeypatch.setattr(_kernel.KINDS["block"], "path", lambda parts: str(kernel.root.joinpath(*parts)))
    with pytest.raises(Failure, match="Nothing was written") as failure:
        apply({"net.core.somaxconn": "5", parameter: value})
    assert kernel.written == []
    assert said in str(failure.value)
    assert failure.value.parameters[parameter].status == status
    assert failure.value.parameters["net.core.somaxconn"].status == "unchanged"
    assert failure.value.restored


def test_every_fault_is_told_at_once(kernel: Any) -> None:
    with pytest.raises(Failure) as failure:
        apply({"vm.nonsense": "1", "kernel.modprobe": "x", "vm.swappiness": "much"})
    assert all(word in str(failure.value) for word in ("vm.nonsense", "kernel.modprobe", "vm.swappiness"))


def test_allow_unsafe_means_the_named_one_alone(kernel: Any) -> None:
    kernel.put("vm.overcommit_memory", "0")
    kernel.put("kernel.panic", "0")
    apply({"kernel.panic": "1"}, allow_unsafe=["kernel.panic"])
    with pytest.raises(Failure, match=r"vm\.overcommit_memory is denied"):
        apply({"vm.overcommit_memory": "2"}, allow_unsafe=["kernel.panic"])


def test_a_value_that_this_machine_does_not_allow_is_refused_unless_it_is_its_own_or_allowed(
    kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a role that was learned on a machine of 256 GiB, applied to one of 4 GiB."""
    monkeypatch.setattr(_machine, "read", lambda: Machine(memory_bytes=4 * 2**30, cpus=2))
    learned = {"vm.min_free_kbytes": "4194304"}
    kernel.put("vm.min_free_kbytes", "67584")
    for is_lease in (True, False):
        with pytest.raises(Failure, match="on this machine .to set it anyway, add .* to allow_unsafe") as failure:
            _transaction.prepare({**learned, "vm.swappiness": "10"}, is_lease=is_lease)
        assert failure.value.parameters["vm.min_free_kbytes"].status == "denied"
    assert apply(learned, allow_unsafe=list(learned))["vm.min_free_kbytes"].status == "applied"
    assert apply(learned)["vm.min_free_kbytes"].status == "unchanged", "its own value, whatever it is"
    apply({"vm.min_free_kbytes": "67584"})
    assert apply(learned, originals=learned)["vm.min_free_kbytes"].status == "applied", "its own before the lease"


def test_hosts_of_one_size_may_have_the_same_values(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel counts only the memory that it has left: the limit of one host must be allowed on the next one."""
    kernel.put("vm.min_free_kbytes", "67584")
    setting = _catalogue.find("vm.min_free_kbytes")
    assert setting
    highest = setting.safe_range(Machine(memory_bytes=64 * 2**30, cpus=2))[0][1]
    monkeypatch.setattr(_machine, "read", lambda: Machine(memory_bytes=62 * 2**30, cpus=2))
    assert apply({"vm.min_free_kbytes": str(highest)})["vm.min_free_kbytes"].status == "applied"
    monkeypatch.setattr(_machine, "read", lambda: Machine(memory_bytes=32 * 2**30, cpus=2))
    apply({"vm.min_free_kbytes": "67584"})
    with pytest.raises(Failure, match="not within the safe range"):
        apply({"vm.min_free_kbytes": str(highest)})


def test_a_read_only_parameter_that_has_the_value_is_no_fault(kernel: Any) -> None:
    kernel.read_only.add("net.core.rmem_max")
    assert apply({"net.core.rmem_max": "212992"})["net.core.rmem_max"].status == "unchanged"


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EPERM, errno.EIO, errno.ENOMEM])
@pytest.mark.parametrize("parameter", MANY)
def test_a_refused_value_puts_everything_back(parameter: str, error: int, kernel: Any) -> None:
    found = kernel.values()

    def refuse(named: str, text: str) -> None:
        if named == parameter and text == MANY[parameter]:
            raise OSError(error, "no")

    kernel.refuse = refuse
    with pytest.raises(Failure, match="everything was restored") as failure:
        apply(MANY)
    assert kernel.values() == found
    assert failure.value.parameters[parameter].status == "rejected"
    assert repr(MANY[parameter]) in str(failure.value)


def test_a_value_that_is_invalid_until_another_is_written_is_tried_again(kernel: Any) -> None:
    """An order that _coupling does not know of."""

    def refuse(parameter: str, text: str) -> None:
        if parameter == "vm.swappiness" and kernel.get("net.core.somaxconn") != "5":
            raise OSError(errno.EINVAL, "no")

    kernel.refuse = refuse
    assert apply({"vm.swappiness": "10", "net.core.somaxconn": "5"})["vm.swappiness"].status == "applied"


def test_congestion_control_outside_the_allowed_says_what_is_allowed(kernel: Any) -> None:
    with pytest.raises(Failure, match="tcp_allowed_congestion_control is 'reno bbr'"):
        apply({"vm.swappiness": "10", "net.ipv4.tcp_congestion_control": "cubic"})
    assert kernel.get("vm.swappiness") == "60"


def test_what_cannot_be_put_back_is_told_loudly_with_the_command(kernel: Any) -> None:
    def refuse(parameter: str, text: str) -> None:
        if (parameter, text) in (("vm.swappiness", "60"), ("net.core.somaxconn", "5")):
            raise OSError(errno.EIO, "no")

    kernel.refuse = refuse
    with pytest.raises(Failure, match="NOT everything could be restored") as failure:
        apply({"vm.swappiness": "10", "net.core.somaxconn": "5"})
    assert not failure.value.restored
    assert (
        "NEEDS ATTENTION: vm.swappiness is '10' and should be '60' (Input/output error); "
        "run: sysctl -w vm.swappiness=60"
    ) in str(failure.value)
    assert failure.value.as_result()["mismatches"][0]["parameter"] == "vm.swappiness"


def test_a_silently_ignored_write_is_found_when_putting_back(kernel: Any) -> None:
    assert _transaction.restore({"net.core.somaxconn": "70000"})[0].found == "65535"


@pytest.mark.parametrize(
    ("found", "values"),
    [
        ({}, {"vm.dirty_bytes": "8388608"}),
        ({"vm.dirty_bytes": "8388608", "vm.dirty_ratio": "0"}, {"vm.dirty_ratio": "30"}),
        ({"vm.dirty_ratio": "0"}, {"vm.dirty_bytes": "8388608"}),
        ({}, {"vm.dirty_bytes": "8388608", "vm.dirty_background_bytes": "4096"}),
    ],
)
def test_of_an_exclusive_pair_the_member_comes_back_that_was_active(
    found: dict[str, str], values: dict[str, str], kernel: Any
) -> None:
    for parameter, value in found.items():
        kernel.put(parameter, value)
    before = kernel.values()
    plan = _transaction.prepare(values)
    _transaction.carry_out(plan)
    assert kernel.values() != before
    assert _transaction.restore(plan.before) == []
    assert kernel.values() == before


def test_what_has_gone_needs_no_putting_back(kernel: Any) -> None:
    kernel.remove("vm.swappiness")
    originals = {"vm.swappiness": "60", "net.core.somaxconn": "4096"}
    assert _transaction.restore(originals) == []
    assert _transaction.gone(originals) == ["vm.swappiness"]


def test_check_mode_foretells_and_writes_nothing(kernel: Any) -> None:
    plan = _transaction.prepare(MANY)
    foretold = _transaction.predicted(plan)
    assert kernel.written == []
    assert foretold == _transaction.carry_out(plan)


def test_an_empty_value_is_put_back(kernel: Any) -> None:
    plan = _transaction.prepare({"net.ipv4.ip_local_reserved_ports": "8080"})
    _transaction.carry_out(plan)
    assert _transaction.restore(plan.before) == []
    assert kernel.get("net.ipv4.ip_local_reserved_ports") == ""


@pytest.fixture
def neighbours(kernel: Any) -> Any:
    """A kernel in which unres_qlen rounds unres_qlen_bytes, and `default` spreads to the interfaces that follow it."""
    followers = ["eth1", "eth2"]

    def put_unit(interface: str, size: str) -> None:
        kernel.put(f"net.ipv4.neigh.{interface}.unres_qlen_bytes", size)
        kernel.put(f"net.ipv4.neigh.{interface}.unres_qlen", str(int(size) // 2110))

    def write(parameter: str, text: str) -> None:
        kernel.written.append((parameter, text))
        dummy, interface, name = parameter.rsplit(".", 2)
        size = str(int(text) * 2110) if name == "unres_qlen" else text
        if interface in followers:
            followers.remove(interface)  # set by itself, it follows no longer
        for one in [interface, *(followers if interface == "default" else ())]:
            put_unit(one, size)

    for interface in ("default", "eth0", *followers):
        put_unit(interface, "212992")
    put_unit("eth0", "300001")
    kernel.followers = followers
    kernel.write_neighbour = write
    return kernel


def units(kernel: Any) -> dict[str, str]:
    return {
        str(path.relative_to(kernel.root)): path.read_text()
        for path in (kernel.root / "net/ipv4/neigh").rglob("unres*")
    }


def test_what_a_write_changes_besides_is_put_back_exactly(neighbours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernel, "write", neighbours.write_neighbour)
    found = units(neighbours)
    plan = _transaction.prepare({"net.ipv4.neigh.default.unres_qlen": "50"})
    _transaction.carry_out(plan)
    assert units(neighbours) != found
    assert _transaction.restore(plan.before) == []
    assert units(neighbours) == found
    assert neighbours.followers == ["eth1", "eth2"], "what came right by itself was not written"


def test_what_was_asked_for_an_interface_stands_against_default(
    neighbours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kernel, "write", neighbours.write_neighbour)
    wanted = {
        "net.ipv4.neigh.eth1.unres_qlen_bytes": "212992",  # what it has, and would lose to what spreads
        "net.ipv4.neigh.default.unres_qlen_bytes": "4096",
    }
    changes = apply(wanted)
    assert {parameter: change.applied for parameter, change in changes.items()} == wanted


def test_a_mask_is_foretold_as_the_kernel_shows_it(kernel: Any) -> None:
    kernel.put("net.core.rps_default_mask", "0000")
    change = _transaction.predicted(_transaction.prepare({"net.core.rps_default_mask": "f"}))
    assert change["net.core.rps_default_mask"].applied == "000f"


def test_what_cannot_be_undone_can_be_set_but_not_lent(kernel: Any) -> None:
    parameter = "net.ipv6.conf.eth0.disable_ipv6"
    kernel.put(parameter, "0")
    with pytest.raises(Failure, match="cannot be leased, as it could not be undone: the kernel removes IPv6"):
        _transaction.prepare({parameter: "1"}, allow_unsafe=[parameter], is_lease=True)
    assert _transaction.prepare({parameter: "0"}, allow_unsafe=[parameter], is_lease=True).values == {parameter: "0"}
    assert apply({parameter: "1"}, allow_unsafe=[parameter])[parameter].status == "applied"
