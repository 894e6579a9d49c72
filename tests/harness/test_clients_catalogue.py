"""The clients: the reference one's decisions, and that each broken one differs from it in what it is named for."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import statistics
import sys
from pathlib import Path

import pytest

import harness.clients
from harness.client_config import reference_client
from harness.clients import attempt as attempts
from harness.clients import broken, catalogue, reference
from harness.clients.attempt import Attempt
from harness.clients.program import Program, parse
from harness.clients.reference import LiveClient, Turn, seconds
from harness.policy import Policy
from harness.scenario.library import builtin_names, find_scenarios

ENVIRONMENT = {
    "HARNESS_WS_CONSTRAINED_URL": "ws://127.0.0.1:1/ws/x",
    "HARNESS_TOKEN_URL": "http://127.0.0.1:1/token",
    "HARNESS_MODEL": "a-model",
}
MODULES = sorted(f"harness.clients.broken.{found.name}" for found in pkgutil.iter_modules(broken.__path__))


def client_of(module: str) -> type[LiveClient]:
    """The class that the module's program runs."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "main")
    found: type[LiveClient] = getattr(importlib.import_module(module), ast.unparse(call.args[0]))
    assert issubclass(found, LiveClient)
    return found


# The catalogue -------------------------------------------------------------------------------------------------------


def test_every_broken_client_is_in_the_catalogue_once() -> None:
    assert sorted(client.module for client in catalogue.BROKEN_CLIENTS) == MODULES
    assert len({client.check for client in catalogue.BROKEN_CLIENTS}) == len(MODULES)
    assert len({client_of(module).name for module in MODULES}) == len(MODULES)


def test_every_broken_client_is_played_in_built_in_scenarios() -> None:
    labels = {one.label for one in find_scenarios(*builtin_names())}
    for client in catalogue.BROKEN_CLIENTS:
        assert client.scenarios
        assert set(client.scenarios) <= labels
        assert client.allowed == {client.check, *client.may_also_fail}
        assert all(client.may_also_fail.values()), "each needs its reason"


def test_a_check_without_a_client_is_a_key_error() -> None:
    assert catalogue.broken_client("WIRE-2").module == "harness.clients.broken.wire_2"
    with pytest.raises(KeyError):
        catalogue.broken_client("SELF-1")


@pytest.mark.parametrize("module", MODULES)
def test_a_broken_client_overrides_decisions_of_the_reference_client_and_little_else(module: str) -> None:
    client = client_of(module)
    overridden = {name for name in vars(client) if name in dir(LiveClient)} - {"__doc__", "__module__", "name"}
    overridden -= {name for name in overridden if name.startswith("__")}
    assert overridden, "it decides as the reference client does"
    assert not overridden & {"converse", "play_session", "receive", "send_input", "watch_link", "speak", "run"}
    assert client.can == LiveClient.can
    assert client.policy == LiveClient.policy


@pytest.mark.parametrize("path", sorted(Path(harness.clients.__path__[0]).rglob("*.py")), ids=lambda path: path.stem)
def test_programs_need_the_standard_library_and_websockets_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            root = name.partition(".")[0]
            assert root in {"websockets", *sys.stdlib_module_names} or name.startswith("harness.clients"), name


def test_what_the_program_says_of_itself_is_what_its_file_says() -> None:
    config = reference_client()
    assert set(LiveClient.can) == config.profile.can
    assert Policy.model_validate(dict(LiveClient.policy)) == config.profile.policy == Policy()
    assert config.command[1:] == ("-m", catalogue.REFERENCE_MODULE)


def test_the_reference_client_can_be_read_in_one_sitting() -> None:
    assert len(inspect.getsource(reference).splitlines()) <= 420


# Decisions -----------------------------------------------------------------------------------------------------------


class Quiet(LiveClient):
    """Keeps what it would tell."""

    def __init__(self) -> None:
        super().__init__(ENVIRONMENT)
        self.told: list[dict[str, object]] = []

    def tell(self, event: str, **data: object) -> None:
        self.told.append({"event": event, **data})


@pytest.fixture
def now_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that clients see: a list of one number, to be changed."""
    now = [1_000.0]
    for module in (reference, attempts):
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_handle_is_the_newest_that_was_resumable() -> None:
    client = Quiet()
    assert client.handle_to_present() is None
    client.take_update({"newHandle": "a", "resumable": True})
    client.take_update({"newHandle": "b", "resumable": True})
    client.take_update({})
    client.take_update({"newHandle": "", "resumable": False})
    client.take_update({"newHandle": "c"})
    assert client.handle_to_present() == "b"
    assert client.setup("b")["sessionResumption"] == {"handle": "b"}
    assert client.setup(None)["sessionResumption"] == {}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1008, "BidiGenerateContent session not found"),
        (1008, "BidiGenerateContent session expired"),
        (1008, "Requested entity was not found."),
        (1007, "Invalid session handle"),
    ],
)
def test_a_handle_refused_as_a_handle_is_dropped_and_told(code: int, reason: str) -> None:
    client = Quiet()
    client.handle = "h"
    refused = Attempt("h", phase="setup", code=code, reason=reason)
    client.learn_from(refused)
    assert client.handle_to_present() is None
    assert client.told[-1]["event"] == "error"
    assert client.comes_back(refused)


def test_not_now_keeps_the_handle_for_four_seconds(now_s: list[float]) -> None:
    client = Quiet()
    client.handle = "h"
    not_now = Attempt("h", phase="setup", code=1011, reason="Internal error encountered.")
    client.learn_from(not_now)
    now_s[0] += 3.9
    client.learn_from(not_now)
    assert client.handle_to_present() == "h"
    now_s[0] += 0.2
    client.learn_from(not_now)
    assert client.handle_to_present() is None


def test_a_refused_token_says_nothing_about_the_handle(now_s: list[float]) -> None:
    client = Quiet()
    client.handle = "h"
    for reason in ("Token has been used too many times", "Token has expired"):
        client.learn_from(Attempt("h", phase="setup", code=1011, reason=reason))
        now_s[0] += 5
    client.learn_from(Attempt("h", phase="dial", code=401))
    assert client.handle_to_present() == "h"


def test_pauses_double_up_to_five_seconds_and_are_drawn() -> None:
    client = Quiet()
    means = []
    for client.failures in range(8):
        pauses = [client.pause_before_dial_s(Attempt()) for _ in range(200)]
        longest = min(5.0, 0.25 * 2**client.failures)
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
        means.append(statistics.mean(pauses))
    assert all(later > earlier for earlier, later in itertools.pairwise(means[:5]))


def test_the_shortest_pauses_stay_within_what_a_service_stands() -> None:
    at_s, dials = 0.0, []
    for failures in range(40):
        at_s += min(5.0, 0.25 * 2.0**failures) * 0.5
        dials.append(at_s)
    assert max(sum(start <= dial < start + 1 for dial in dials) for start in dials) <= 5
    assert max(sum(start <= dial < start + 30 for dial in dials) for start in dials) <= 15


def test_a_quota_is_met_with_a_longer_pause() -> None:
    client = Quiet()
    for refused in (
        Attempt(phase="dial", code=429),
        Attempt(phase="setup", code=1011, reason="You exceeded your current quota"),
    ):
        assert client.pause_before_dial_s(refused) >= 5
        assert client.comes_back(refused)


def test_a_request_that_cannot_be_right_is_sent_twice_at_most() -> None:
    client = Quiet()
    bad = Attempt(phase="setup", code=1007, reason="Request contains an invalid argument.")
    assert client.comes_back(bad)
    assert not client.comes_back(bad)


def test_it_gives_up_after_a_minute(now_s: list[float]) -> None:
    client = Quiet()
    client.outage_since = now_s[0]
    assert client.comes_back(Attempt(phase="dial"))
    now_s[0] += 60.1
    assert not client.comes_back(Attempt(phase="dial"))


def test_only_a_session_that_did_something_is_proved(now_s: list[float]) -> None:
    assert not Attempt(phase="session").proved
    assert Attempt(phase="session", carried_content=True).proved
    assert not Attempt(phase="dial", carried_content=True).proved
    old = Attempt(phase="session")
    now_s[0] += 10
    assert old.proved


def test_data_is_a_sign_of_life_and_silence_is_not(now_s: list[float]) -> None:
    client = Quiet()
    client.last_heard_s = now_s[0]
    now_s[0] += 2.4
    assert not client.link_is_dead(2.4)
    now_s[0] += 0.2
    assert client.link_is_dead(2.6)
    client.last_heard_s = now_s[0]
    assert not client.link_is_dead(25.0)
    assert client.link_is_dead(31.0)


def test_speech_is_kept_until_a_pong_acknowledges_it() -> None:
    client = Quiet()
    for number in range(10):
        client.hear_microphone(bytes([number]))
    client.sent = 7
    client.acknowledge(4)
    assert client.sent == 3
    client.replay_speech()
    assert [chunk[0] for chunk in list(client.unheard)[client.sent :]] == [4, 5, 6, 7, 8, 9]


def test_turns_without_a_whole_answer_are_sent_again_on_the_next_connection() -> None:
    client = Quiet()
    client.turns.extend([Turn("cut", sent_on=1), Turn("said while away")])
    client.connections = 2
    assert [turn.text for turn in client.turns_to_send()] == ["cut", "said while away"]
    client.turns[0].sent_on = 2
    assert [turn.text for turn in client.turns_to_send()] == ["said while away"]


@pytest.mark.parametrize(
    ("given", "meant"), [("50s", 50.0), ("1.5s", 1.5), ("0s", 0.0), (None, 5.0), ({"seconds": 3}, 5.0), ("soon", 5.0)]
)
def test_any_time_left_can_be_read(given: object, meant: float) -> None:
    assert seconds(given) == meant


def test_what_is_no_object_is_passed_over() -> None:
    assert [parse(data) for data in (b"", "{", "[1]", "null", b"\xff", '{"a": 1}')] == [{}, {}, {}, {}, {}, {"a": 1}]


async def test_a_program_without_commands_says_so() -> None:
    with pytest.raises(NotImplementedError):
        await Program().obey({"do": "connect"})
