from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.client.agent_run import problem_in

WRONG_STUDY = r"""
TASK [Run the study] ***********************************************************
[ERROR]: Task failed: study.yml: 2 errors in the study; no host was touched:
  - reward_metric: required, but missing
fatal: [h1]: FAILED! => {"changed": false, "msg": "study.yml: 2 errors; no host was touched:\n  - a: no\n  - b: no"}
fatal: [h2]: FAILED! => {"changed": false, "msg": "study.yml: 2 errors; no host was touched:\n  - a: no\n  - b: no"}

PLAY RECAP *********************************************************************
"""
UNREACHABLE = """
fatal: [h1]: UNREACHABLE! => {"changed": false, "msg": "Task failed: no route", "unreachable": true}
failed: [h2] (item=x) => {"changed": false, "msg": "no package"}
"""
NO_HOST = """
[WARNING]: No inventory was parsed, only implicit localhost is available
[ERROR]: Error processing keyword 'hosts': no host matches 'all'; use -i and -e target
Origin: /playbooks/tune.yml:12:10
"""


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (WRONG_STUDY, "study.yml: 2 errors; no host was touched: - a: no - b: no"),
        (UNREACHABLE, "no route; no package"),
        (NO_HOST, "Error processing keyword 'hosts': no host matches 'all'; use -i and -e target"),
        ("ERROR! the file hosts does not exist\n", "the file hosts does not exist"),
        ('fatal: [h1]: FAILED! => {"changed": false}\n', "ansible-playbook ended with exit code 4"),
        ("", "ansible-playbook ended with exit code 4"),
    ],
)
def test_a_failed_play_is_one_line(output: str, problem: str) -> None:
    assert problem_in(output, 4) == problem
