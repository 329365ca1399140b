from __future__ import annotations


def test_each_host_answers_over_ssh(lab):
    assert lab.play("playbooks/lab.yml", "--version").returncode == 0
    assert lab.sysctl("lab1", "net.ipv4.tcp_wmem") == "4096 16384 4194304"
