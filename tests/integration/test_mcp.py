# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The MCP server as agents use it: the SDK's client over stdio, a lab's hosts, from a plan to the way back."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="takes the extra `mcp`")

import mcp_types as types
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import carry_out, plan
from mcp import Client
from mcp.client.stdio import StdioServerParameters

COLLECTIONS = Path(__file__).resolve().parents[2] / "playbooks/collections"
SERVER = "ansible_collections.autotune.kernel.client.mcp_server"
PARAMETER = "net.ipv4.tcp_fin_timeout"
# Whatever is chosen is better by far than the lab's 60, so that no noise decides how the study ends.
SENSOR = """
import random
value = int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read())
print(f"throughput: {random.gauss(100 + value, 0.5):.3f}")
print("\\x1b]0;owned\\x07", flush=True)
"""
STUDY = {
    "workload_name": "sensor",
    "reward_metric": "throughput",
    "benchmark_command": "python3 sensor.py",
    "allow_unsafe": [PARAMETER],
    "action_space": [{"param": PARAMETER, "choices": [200, 300]}],
    "algorithm": "random",
    "baseline_trials": 2,
    "training_config": {"total_timesteps": 2, "benchmark_timeout": 20, "seed": 3},
    "verification": {"pairs": 4, "candidates": 1, "keep": "all"},
}
READING = ["list_workloads", "list_studies", "get_status", "get_result", "list_trials", "explain_trial", "plan"]
WRITING = ["start_run", "stop_run", "change_hosts"]


@dataclass
class Agent:
    """A connected client. asked: the questions to its user."""

    client: Client
    asked: list[str] = field(default_factory=list)

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def error(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return "".join(part.text for part in result.content if isinstance(part, types.TextContent))

    async def end_of(self, plan_id: str, seconds: float = 300) -> dict[str, Any]:
        """What the server says of the process that carries out a plan, once that has ended."""
        limit = time.monotonic() + seconds
        while True:
            status = await self.call("get_status")
            (found,) = [process for process in status["processes"] if process["plan_id"] == plan_id]
            if found["exit_code"] is not None:
                return dict(found)
            assert time.monotonic() < limit, found
            await asyncio.sleep(1)


@pytest.fixture
def root(tmp_path: Path, lab: Any) -> Path:
    (tmp_path / "sensor.py").write_text(SENSOR)
    (tmp_path / "study.yml").write_text(json.dumps(STUDY))
    (tmp_path / "hosts.json").write_text(lab.inventory.read_text())
    return tmp_path


@asynccontextmanager
async def connected(
    root: Path, *options: str, answer: types.ElicitResult | None = None, mode: str = "auto"
) -> AsyncIterator[Agent]:
    """A client of a server process of its own. All that the server prints on stdout is checked afterwards."""

    async def asked(dummy: Any, parameters: Any) -> types.ElicitResult:
        agent.asked.append(parameters.message)
        assert answer
        return answer

    printed = root / "stdout.log"
    server = [sys.executable, "-m", SERVER, "--root", str(root), *options]
    parameters = StdioServerParameters(
        command="sh",
        args=["-c", f'"$@" | tee -a {printed}', "sh", *server],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        cwd=root,
    )
    async with Client(
        parameters,
        mode=mode,
        client_info=types.Implementation(name="lab-test", version="1"),
        elicitation_callback=asked if answer else None,
        read_timeout_seconds=300,
    ) as client:
        agent = Agent(client)
        yield agent
    lines = printed.read_text().splitlines()
    assert lines
    assert {json.loads(line)["jsonrpc"] for line in lines} == {"2.0"}


def audit_of(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "learned/mcp-audit.jsonl").read_text().splitlines()]


def test_from_the_plan_of_a_run_to_the_way_back(lab: Any, root: Path) -> None:
    original = lab.sysctl("lab1", PARAMETER)
    where = {"inventory": "hosts.json", "target": "lab1"}

    async def whole_way() -> None:
        accepts = types.ElicitResult(action="accept", content={"agree": True})
        async with connected(root, answer=accepts) as agent:
            assert await agent.tools() == READING + WRITING

            run = await agent.call("plan", action="run", study="study.yml", **where)
            assert (run["hosts"], run["values"]) == (["lab1"], {PARAMETER: "200 or 300"})
            begun = await agent.call("start_run", plan_id=run["plan_id"])
            assert "Hosts (1): lab1" in agent.asked[0]
            ended = await agent.end_of(run["plan_id"])
            assert ended["exit_code"] == 0, ended
            status = await agent.call("get_status")
            assert status["study"]["status"]["verdict"] == "improved"
            study_id = status["study"]["id"]
            assert status["processes"][0]["study_id"] == study_id
            assert lab.sysctl("lab1", PARAMETER) == original
            assert "improved" in Path(begun["log"]).read_text()
            assert stat.S_IMODE(Path(begun["log"]).stat().st_mode) == 0o600

            result = await agent.call("get_result", study_id=study_id, with_pairs=True)
            assert result["proved"]
            assert len(result["evidence"]) == result["pairs"] >= 2
            learned = result["best"][0]["value"]
            found, cursor = [], 0
            while cursor is not None:
                page = await agent.call("list_trials", study_id=study_id, cursor=cursor, limit=5)
                found += page["trials"]
                cursor = page["next_cursor"]
            assert [trial["id"] for trial in found] == list(range(1, page["total"] + 1))
            assert len(found) > 5
            candidate = next(trial for trial in found if trial["phase"] == "train")
            explained = await agent.call("explain_trial", study_id=study_id, trial_id=candidate["id"])
            assert f"{PARAMETER} from {original} to " in " ".join(explained["explanation"])

            assert "no open plan" in await agent.error("start_run", plan_id=run["plan_id"])
            rollout = await agent.call("plan", action="rollout", workload="sensor", **where)
            assert rollout["values"] == {PARAMETER: learned}
            assert any(f"+{PARAMETER} = {learned}" in line for line in rollout["preview"])
            assert lab.sysctl("lab1", PARAMETER) == original
            assert "is of a rollout" in await agent.error("start_run", plan_id=rollout["plan_id"])
            await agent.call("change_hosts", plan_id=rollout["plan_id"])
            assert (await agent.end_of(rollout["plan_id"]))["exit_code"] == 0
            assert lab.sysctl("lab1", PARAMETER) == learned
            assert "no open plan" in await agent.error("change_hosts", plan_id=rollout["plan_id"])

            back = await agent.call("plan", action="rollback", workload="sensor", **where)
            await agent.call("change_hosts", plan_id=back["plan_id"])
            assert (await agent.end_of(back["plan_id"]))["exit_code"] == 0
            assert lab.sysctl("lab1", PARAMETER) == original
            assert len(agent.asked) == 3

            for made, tool in ((run, "start_run"), (rollout, "change_hosts"), (back, "change_hosts")):
                entries = [entry for entry in audit_of(root) if entry["plan_id"] == made["plan_id"]]
                outcomes = [(entry["tool"], entry["outcome"]) for entry in entries]
                assert outcomes[0] == ("plan", "done")
                wanted = [(tool, "the user is asked"), (tool, "done"), (made["kind"], "ended with exit code 0")]
                assert [outcome for outcome in outcomes if outcome in wanted] == wanted

    try:
        asyncio.run(whole_way())
    finally:
        if (root / "learned/sensor/rollback.yml").exists():
            lab.play(str(root / "learned/sensor/rollback.yml"), "--limit", "lab1")
    assert lab.sysctl("lab1", PARAMETER) == original
    entries = audit_of(root)
    assert {entry["client"] for entry in entries} == {"lab-test 1"}
    assert all(entry["time"] and entry["tool"] for entry in entries)


@pytest.fixture
def learned(root: Path, write_result: Callable[..., Path]) -> Path:
    folder = write_result(root / "learned/wan", {PARAMETER: 31})
    carry_out(plan(folder))
    return folder


def test_without_anybody_who_can_agree_it_only_reads(lab: Any, root: Path, learned: Path) -> None:
    async def read() -> None:
        async with connected(root) as agent:
            assert await agent.tools() == READING
            status = await agent.call("get_status")
            assert not status["may_change"]
            assert "--allow-apply" in status["why_not"]
            run = await agent.call("plan", action="run", study="study.yml", inventory="hosts.json")
            assert run["hosts"] == list(lab.hosts)
            assert run["plan_id"] is None
            assert "may not change anything" in await agent.error("start_run", plan_id="run-0")
            for study in ("/etc/passwd", "../../../etc/passwd"):
                assert "is outside" in await agent.error("plan", action="run", study=study)

    asyncio.run(read())
    assert not list((root / "learned").glob("mcp-*.log"))


def test_a_user_who_declines_is_obeyed_and_so_is_a_changed_inventory(lab: Any, root: Path, learned: Path) -> None:
    before = {host: lab.sysctl(host, PARAMETER) for host in lab.hosts}
    where = {"inventory": "hosts.json", "target": "lab1"}

    async def decline() -> None:
        # --allow-apply does not take the place of a user who can be asked.
        no = types.ElicitResult(action="decline")
        async with connected(root, "--allow-apply", answer=no, mode="legacy") as agent:
            run = await agent.call("plan", action="run", study="study.yml", **where)
            assert "the user did not agree" in await agent.error("start_run", plan_id=run["plan_id"])
            assert "no open plan" in await agent.error("start_run", plan_id=run["plan_id"])
            assert len(agent.asked) == 1

    async def change_the_inventory() -> None:
        async with connected(root, "--allow-apply", mode="legacy") as agent:
            assert await agent.tools() == READING + WRITING
            made = await agent.call("plan", action="rollback", workload="wan", **where)
            text = (root / "hosts.json").read_text()
            (root / "hosts.json").write_text(text.replace(lab.hosts["lab1"], lab.hosts["lab2"]))
            assert "otherwise than before" in await agent.error("change_hosts", plan_id=made["plan_id"])
            assert "no open plan" in await agent.error("change_hosts", plan_id=made["plan_id"])

    asyncio.run(decline())
    asyncio.run(change_the_inventory())
    assert not list((root / "learned").glob("mcp-*.log"))
    assert {host: lab.sysctl(host, PARAMETER) for host in lab.hosts} == before
    assert {entry["outcome"] for entry in audit_of(root)} > {"called", "done"}
