"""Every line of the table of faults in docs/explanation/safety.md rests on tests that exist; these are they."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs/explanation/safety.md").read_text()
TABLE = PAGE.partition("\n| fault |")[2].partition("\n\n")[0]
FAULTS, LEASE, RESUME = "tune/test_faults.py", "tune/test_lease.py", "tune/test_resume.py"
PREFLIGHT, GUARD, MODULE = "tune/test_preflight.py", "tune/test_guard.py", "test_sysctl_module.py"
BECOME, ROLE = "access/test_become.py", "test_learned_role.py"
KILLED = "test_every_value_is_back_within_the_lease_and_two_seconds"  # by each of the faults that it names
LOST = "test_a_host_that_is_lost_in_the_middle_gets_its_values_back_and_the_others_go_on"

# The beginning of each line's first cell, and the tests by file.
PROOFS: dict[str, dict[str, list[str]]] = {
    "Ctrl-C": {FAULTS: ["test_ctrl_c_puts_everything_back_and_keeps_what_was_measured"]},
    "Ctrl-C, or the trainer or the controller is killed": {RESUME: ["test_it_goes_on_where_it_was_interrupted"]},
    "a checkpoint is truncated": {
        "unit/trainer/test_checkpoint.py": [
            "test_a_byte_that_is_not_the_one_written_makes_it_use_the_one_before",
            "test_a_file_that_is_missing_or_a_link_makes_it_use_the_one_before",
            "test_of_another_study_it_is_refused",
        ]
    },
    "the database server restarts": {
        RESUME: ["test_two_controllers_share_a_server_that_is_started_again_and_tell_nobody_its_password"],
        "unit/store/test_postgresql.py": [
            "test_a_server_that_is_started_again_loses_nothing_and_gets_nothing_twice",
            "test_what_was_committed_when_the_server_went_is_not_written_again",
        ],
    },
    "the controller is killed": {
        FAULTS: ["test_the_end_of_ansible_playbook_puts_everything_back"],
        LEASE: [KILLED],
    },
    "the trainer or a worker alone": {LEASE: [KILLED]},
    "the link is cut for good": {FAULTS: [LOST]},
    "the host's watchdog": {LEASE: [KILLED]},
    "the host is reset": {
        "vm/test_reboot.py": [
            "test_a_run_goes_on_with_the_others_when_a_host_is_reset_in_the_middle",
            "test_a_run_ends_when_its_only_host_loses_its_power",
            "test_a_reset_between_lease_and_confirmation_leaves_nothing",
        ]
    },
    "a disk is full or broken": {
        "test_crash_points.py": ["test_every_point_leads_back", "test_the_watchdog_restores_whatever_it_is_refused"],
        "test_full_run.py": ["test_the_values_are_back_and_the_lease_ends_as_soon_as_it_can"],
    },
    "two runs want one host": {MODULE: ["test_a_second_holder_is_refused_by_name"]},
    "somebody else sets": {LEASE: ["test_what_somebody_else_sets_meanwhile_spoils_the_evaluation_and_is_told"]},
    "an answer arrives after": {
        MODULE: ["test_a_call_that_comes_after_its_lease_is_refused"],
        ROLE: ["test_a_confirmation_that_comes_after_the_lease_sets_nothing"],
    },
    "the benchmark fails": {FAULTS: ["test_a_benchmark_that_does_not_work_ends_the_study_at_its_baseline"]},
    "the benchmark leaves": {MODULE: ["test_a_benchmark_that_was_left_running_ends_with_the_lease"]},
    "another machine answers": {
        "test_lab.py": ["test_proves_who_it_is"],
        PREFLIGHT: ["test_the_benchmarks_own_connection_believes_no_other_host_either"],
    },
    "a host has no Python": {
        PREFLIGHT: ["test_a_host_without_python_is_refused", "test_a_host_whose_disk_is_full_is_refused"]
    },
    "a candidate causes OOM kills": {
        GUARD: [
            "test_memory_that_runs_out_ends_the_evaluation",
            "test_pressure_of_memory_ends_the_evaluation",
            "test_a_service_that_falls_ill_costs_the_candidate_and_not_the_run",
        ],
        "unit/worker/test_guard.py": ["test_each_limit_ends_an_evaluation_and_can_be_switched_off"],
    },
    "a write changes more": {
        MODULE: [
            "test_a_quantity_in_two_units_comes_back_exactly",
            "test_what_all_and_default_spread_to_comes_back",
            "test_what_cannot_be_undone_is_not_lent",
        ]
    },
    "the kernel rejects": {
        FAULTS: ["test_a_value_that_the_kernel_forbids_is_a_failed_evaluation_and_the_run_goes_on"],
        MODULE: [
            "test_one_refused_value_puts_all_back",
            "test_a_value_that_the_kernel_makes_another_of_is_told",
        ],
    },
    "a parameter is unknown": {
        FAULTS: ["test_parameters_that_cannot_be_tuned_are_refused_before_anything_is_written"],
        BECOME: ["test_without_become_he_is_told_what_would_help"],
    },
    "sudo wants a password": {
        BECOME: ["test_sudo_that_does_not_let_him_is_one_line_before_anything_is_written"],
    },
    "the SSH account": {
        "access/test_gate.py": [
            "test_sudo_lets_him_run_it_in_one_way_alone",
            "test_bad_requests_are_refused_in_a_line",
            "test_he_can_neither_change_the_program_nor_the_journal_nor_end_the_watchdog",
        ]
    },
    "somebody looks for secrets": {BECOME: ["test_a_run_by_become_and_its_role_work_and_no_secret_is_to_be_found"]},
    "TuneD or bpftune": {
        PREFLIGHT: [
            "test_a_host_that_tuned_manages_is_refused",
            "test_a_container_with_a_read_only_proc_sys_is_refused",
        ],
        "unit/worker/test_preflight.py": ["test_each_problem_is_one_line_that_says_what_to_do"],
    },
    "one kernel has two inventory names": {FAULTS: ["test_hosts_that_cannot_take_part_do_not_stop_the_others"]},
    "no host matches": {PREFLIGHT: ["test_a_run_without_hosts_is_an_error"]},
    "somebody edits the file": {
        "unit/module_utils/test_persist.py": [
            "test_what_others_wrote_into_our_drop_in_is_kept_beside_it_and_told",
            "test_a_file_of_somebody_elses_is_neither_replaced_nor_hidden",
        ]
    },
    "another file sets a kept value too": {
        MODULE: [
            "test_who_prevails_is_told_and_comes_true",
            "test_what_lies_in_the_folder_is_neither_fatal_nor_waited_for",
        ],
        "test_boot_files.py": ["test_what_is_foretold_comes_true"],
    },
    "an applied role": {
        ROLE: [
            "test_a_host_that_is_not_well_takes_its_batch_back_and_spares_the_next",
            "test_a_host_that_is_cut_off_puts_itself_back",
        ]
    },
}


def lines() -> list[tuple[str, set[str]]]:
    """Of each line: the fault, and the files of tests that are named."""
    cells = [line.strip("| ").split(" | ") for line in TABLE.splitlines()[2:]]
    return [(first, set(re.findall(r"`([\w/]+\.py)`", last))) for first, dummy, last in cells]


@cache
def defined_in(file: str) -> set[str]:
    path = TESTS / file if file.startswith("unit/") else TESTS / "integration" / file
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_line_has_its_tests_and_names_their_files() -> None:
    found = lines()
    assert len(found) > 25
    assert [first for first, dummy in found if not any(first.startswith(start) for start in PROOFS)] == []
    for (first, files), (start, tests) in zip(found, PROOFS.items(), strict=True):
        assert first.startswith(start), "in the table's order"
        assert files == tests.keys(), first


def test_they_all_exist() -> None:
    named = [(file, name) for tests in PROOFS.values() for file, names in tests.items() for name in names]
    assert [f"{file}::{name}" for file, name in named if name not in defined_in(file)] == []
