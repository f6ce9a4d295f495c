"""A cheater in a whole run looks for keys and ways out: environments, memory, sockets, other runs, mounts, limits."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cheater_trial import Trial, WholeRun, cheat, started, workplace
from scripted_model import KEY, ScriptedModel

pytestmark = pytest.mark.containers

ATTACKS = ("keys", "sockets", "loopback", "neighbours", "mounts", "others", "limits")
ELSEWHERE = (("1.1.1.1", 443), ("169.254.169.254", 80), ("172.17.0.1", 2375), ("127.0.0.1", 22), ("127.0.0.11", 53))


@pytest.fixture(scope="module")
def trial(cache: Path) -> Iterator[Trial]:
    """Another run goes on meanwhile; its folder of sockets is known to the cheater, the provider's port too."""
    name = "curation-test-cheater"
    with (
        ScriptedModel([]) as model,
        ScriptedModel([]) as others_model,
        workplace(cache) as other,
        workplace(cache) as own,
        socket.socket(socket.AF_UNIX) as abstract,
        started(other, others_model, ["waiting"], "--set", "budgets.agent_seconds=300") as process,
    ):
        abstract.bind("\0" + name)
        abstract.listen()
        other.wait_for("agent.log", "CHEAT", process)
        folders = [str(path.parent) for path in Path(other.environment["TMPDIR"]).rglob("llm.sock")]
        assert len(folders) == 1
        port = int(model.base_url.rpartition(":")[2])
        given = {
            "addresses": [(address, port) for address in host_addresses()]
            + [
                ("1.1.1.1", 443),
                ("169.254.169.254", 80),
                ("172.17.0.1", 2375),
                ("127.0.0.1", 22),
                ("127.0.0.11", 53),
            ],
            "abstract": [name, *abstract_sockets()],
            "neighbours": folders,
        }
        trial = cheat(own, model, ATTACKS, given=given)
        trial.elsewhere = list(others_model.requests)
        yield trial


def host_addresses() -> list[str]:
    return [
        entry.address.partition("%")[0]
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]


def abstract_sockets() -> list[str]:
    """Names of the host's."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sorted({line.split()[-1][1:] for line in lines if len(line.split()) == 8 and line.split()[-1][:1] == "@"})[
        :20
    ]


class TestTheRun(WholeRun):
    pass


def refused(tried: dict[str, str]) -> None:
    assert tried
    came_through = [name for name, end in tried.items() if end == "done"]
    assert not came_through


@pytest.mark.parametrize("where", ["environments", "command lines", "files"])
def test_a_key_in(trial: Trial, where: str) -> None:
    """The search finds the decoys that it planted, and nothing else."""
    found = trial.result("keys")
    planted = dict(zip(["environments", "command lines", "files"], found["planted"], strict=True))
    assert planted[where] in found[where]
    own = planted[where] if where == "files" else planted[where].rpartition("/")[0]  # threads have environments too
    assert [place for place in found[where] if not place.startswith(own)] == []


def test_a_key_in_the_relays_memory(trial: Trial) -> None:
    assert trial.result("keys")["memory"] == []


def test_a_key_in_a_reply(trial: Trial) -> None:
    assert KEY not in (trial.folder / "agent.log").read_text(errors="replace")


def test_sockets_to_anywhere(trial: Trial) -> None:
    refused(trial.result("sockets"))


def test_ports_inside(trial: Trial) -> None:
    assert trial.result("loopback") == [8123]


def test_another_runs_sockets(trial: Trial) -> None:
    found = trial.result("neighbours")
    assert found["seen"] == ["llm.sock", "submit.sock"]
    assert sum("curation-" in name for name in found["tried"]) == 10
    refused(found["tried"])
    assert len(trial.elsewhere) == 2  # its own: which models there are, and one honest request


def test_remounting_the_pool_and_writing_what_is_read_only(trial: Trial) -> None:
    refused(trial.result("mounts"))


def test_tracing_the_relay(trial: Trial) -> None:
    tried = trial.result("others")
    assert len(tried) >= 10  # init and the relay at least
    refused(tried)


def test_raising_its_limits(trial: Trial) -> None:
    refused(trial.result("limits"))
