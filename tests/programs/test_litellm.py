"""LiteLLM, from a venv of its own: it works from our environment, and asks where we say it asks.

The venv's python is MM_LITELLM_PYTHON, or `.venv-litellm/bin/python` beside the Makefile, which makes
it. Both the working and the failing configurations of the Aider guide are run for real.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from minimax_magic.programs.environment import environment_for
from minimax_magic.programs.routing import conflicts, route
from minimax_magic.simulator import Simulator

MODEL = "MiniMax-M2.5"
ANTHROPIC, MINIMAX, OPENAI = f"anthropic/{MODEL}", f"minimax/{MODEL}", f"openai/{MODEL}"
ROOT_FOLDER = Path(__file__).parents[2]
OURS = ("ANTHROPIC_", "AIDER_", "LITELLM_", "MINIMAX_", "OPENAI_")
# Completes with one environment after the other: importing LiteLLM takes as long as all the rest.
WORKER = """
import importlib.metadata, json, os, sys
import litellm
litellm.suppress_debug_info = True
answers, sys.stdout = sys.stdout, sys.stderr
print(json.dumps(importlib.metadata.version("litellm")), file=answers, flush=True)
before = dict(os.environ)
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environ"])
    answer = {"text": "", "error": ""}
    try:
        reply = litellm.completion(
            model=asked["model"],
            messages=[{"role": "user", "content": "Hi"}],
            num_retries=0,
            max_retries=0,
            timeout=20,
        )
        answer["text"] = reply.choices[0].message.content
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    os.environ.clear()
    os.environ.update(before)
    print(json.dumps(answer), file=answers, flush=True)
"""

Ask = Callable[[str, dict[str, str]], dict[str, str]]


def litellm_python() -> str:
    """The python of the venv.

    Skips where there is none, with the reason that the Makefile noted.
    """
    named = os.environ.get("MM_LITELLM_PYTHON", "")
    python = Path(named) if named else ROOT_FOLDER / ".venv-litellm" / "bin" / "python"
    if python.exists():
        return str(python)
    noted = ROOT_FOLDER / ".venv-litellm" / "why-not.txt"
    why = (
        noted.read_text(encoding="utf-8").strip() if noted.exists() else "`make programs` makes it"
    )
    pytest.skip(f"no LiteLLM: {python} does not exist ({why})")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    python = litellm_python()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    folder = tmp_path_factory.mktemp("litellm")  # LiteLLM reads .env where it starts
    log = (folder / "log.txt").open("w", encoding="utf-8")
    with (
        log,
        subprocess.Popen(
            [python, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environ,
            cwd=folder,
        ) as process,
    ):
        yield process
        process.kill()  # by itself it would wait for threads of LiteLLM for seconds


@pytest.fixture(scope="module")
def version(worker: subprocess.Popen[str]) -> tuple[int, ...]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    assert line, "LiteLLM does not start"
    return tuple(int(part) for part in json.loads(line).split(".")[:2])


@pytest.fixture
def ask(worker: subprocess.Popen[str], version: tuple[int, ...]) -> Ask:
    def complete(model: str, environ: dict[str, str]) -> dict[str, str]:
        assert version  # read, so that the next line is an answer
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps({"model": model, "environ": environ}) + "\n")
        worker.stdin.flush()
        answer: dict[str, str] = json.loads(worker.stdout.readline())
        return answer

    return complete


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


def header_seen(headers: Any) -> str:
    seen = [name for name in ("X-Api-Key", "Authorization") if headers.get(name)]
    return {(): "none", ("X-Api-Key",): "x-api-key", ("Authorization",): "bearer"}[tuple(seen)]


@pytest.mark.parametrize("model", [ANTHROPIC, MINIMAX])
def test_both_routes_complete_from_our_environment(
    sim: Simulator, ask: Ask, version: tuple[int, ...], model: str
) -> None:
    """With Bearer, on the strict simulator; each route by the wire that it belongs to."""
    if model == ANTHROPIC and version < (1, 82):
        pytest.skip("this LiteLLM does not know ANTHROPIC_AUTH_TOKEN")
    env = environment_for("litellm", root=sim.url, key=sim.key, model=model)
    applied = env.applied_to({})
    answer = ask(model, applied)
    assert answer["error"] == ""
    assert answer["text"]
    (received,) = sim.requests
    assert received.headers["Authorization"] == f"Bearer {sim.key}"
    assert "X-Api-Key" not in received.headers
    found = route("litellm", applied, model=model, root=sim.url)
    assert (found.url, found.problems) == (sim.url + received.path, ())


def test_aiders_environment_works_where_x_api_key_is_taken(ask: Ask) -> None:
    """The guide's working configuration completes, but its key comes as x-api-key."""
    with Simulator(accept_x_api_key=True) as sim:
        env = environment_for("aider", root=sim.url, key=sim.key, model=MODEL)
        answer = ask(env.command[-1], env.applied_to({}))
        assert answer["error"] == ""
        (received,) = sim.requests
    assert received.path == "/anthropic/v1/messages"
    assert received.headers["X-Api-Key"] == sim.key
    assert "Authorization" not in received.headers


def test_aiders_other_route_works_where_only_bearer_is_taken(sim: Simulator, ask: Ask) -> None:
    """What the note of the environment promises: anthropic/ is refused there, minimax/ is not."""
    first = environment_for("aider", root=sim.url, key=sim.key, model=MODEL)
    assert "AuthenticationError" in ask(first.command[-1], first.applied_to({}))["error"]
    other = environment_for("aider", root=sim.url, key=sim.key, model=MINIMAX)
    assert ask(other.command[-1], other.applied_to({}))["error"] == ""


CONFIGURATIONS = {
    # the guide's start-aider-fixed.bat
    "v1 in api base": (ANTHROPIC, {"ANTHROPIC_API_BASE": "/v1"}, "wrong_wire"),
    "v1 in base url": (ANTHROPIC, {"ANTHROPIC_BASE_URL": "/v1"}, "wrong_wire"),
    # the guide's start-aider-anthropic.bat
    "anthropic": (ANTHROPIC, {"ANTHROPIC_BASE_URL": "/anthropic"}, None),
    "whole address": (ANTHROPIC, {"ANTHROPIC_BASE_URL": "/anthropic/v1/messages"}, None),
    "slash at the end": (ANTHROPIC, {"ANTHROPIC_BASE_URL": "/anthropic/"}, "wrong_wire"),
    "v1 behind it": (ANTHROPIC, {"ANTHROPIC_BASE_URL": "/anthropic/v1"}, "wrong_wire"),
    "api base beats base url": (
        ANTHROPIC,
        {"ANTHROPIC_API_BASE": "/v1", "ANTHROPIC_BASE_URL": "/anthropic"},
        "base_url_conflict",
    ),
    "api base is right, base url is not": (
        ANTHROPIC,
        {"ANTHROPIC_API_BASE": "/anthropic", "ANTHROPIC_BASE_URL": "/v1"},
        None,
    ),
    "no suffix": (
        ANTHROPIC,
        {"ANTHROPIC_BASE_URL": "/anthropic", "LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX": "true"},
        "wrong_wire",
    ),
    "minimax with v1": (MINIMAX, {"MINIMAX_API_BASE": "/v1"}, None),
    "minimax with the host": (MINIMAX, {"MINIMAX_API_BASE": ""}, None),
    "minimax with anthropic": (MINIMAX, {"MINIMAX_API_BASE": "/anthropic"}, "wrong_wire"),
    "minimax with a slash": (MINIMAX, {"MINIMAX_API_BASE": "/v1/"}, "wrong_wire"),
    "openai with v1": (OPENAI, {"OPENAI_API_BASE": "/v1"}, None),
    "openai with anthropic": (OPENAI, {"OPENAI_API_BASE": "/anthropic"}, "wrong_wire"),
    "base url beats api base": (
        OPENAI,
        {"OPENAI_API_BASE": "/v1", "OPENAI_BASE_URL": "/elsewhere"},
        "base_url_conflict",
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_it_asks_where_we_say_that_it_asks(sim: Simulator, ask: Ask, name: str) -> None:
    """Address, header and whether anything is wrong, of working and of failing configurations."""
    model, paths, trouble = CONFIGURATIONS[name]
    environ = {
        variable: sim.url + value if value != "true" else value for variable, value in paths.items()
    }
    keys = ("ANTHROPIC_API_KEY", "MINIMAX_API_KEY", "OPENAI_API_KEY")
    environ |= dict.fromkeys(keys, sim.key)
    answer = ask(model, environ)
    received = sim.requests[-1]
    found = route("litellm", environ, model=model, root=sim.url)
    assert urlsplit(found.url).path == received.path
    assert found.url.startswith(sim.url)
    assert found.header == header_seen(received.headers)
    if trouble is None:
        assert found.problems == ()
        # the simulator takes Bearer only, and with a key LiteLLM sends x-api-key to anthropic/
        assert bool(answer["text"]) == (model != ANTHROPIC)
    else:
        assert answer["error"]
        assert found.problems[0].trouble == trouble
        assert trouble in [conflict.trouble for conflict in conflicts(environ, root=sim.url)]


@pytest.mark.parametrize(
    "keys",
    [
        {"ANTHROPIC_API_KEY": "k"},
        {"ANTHROPIC_AUTH_TOKEN": "t"},
        {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"},
        {"MINIMAX_API_KEY": "m"},
        {},
    ],
    ids=lambda keys: "+".join(keys) or "none",
)
def test_it_sends_the_key_that_we_say(
    sim: Simulator, ask: Ask, version: tuple[int, ...], keys: dict[str, str]
) -> None:
    """Which variable, in which header; nothing is sent where there is no key for the route."""
    # the LiteLLM that Aider pins is an older one, which does not know the token
    program = "litellm" if version >= (1, 82) else "aider"
    environ = {"ANTHROPIC_BASE_URL": f"{sim.url}/anthropic", **keys}
    answer = ask(ANTHROPIC, environ)
    found = route(program, environ, model=ANTHROPIC)
    assert answer["error"]
    if not found.key:
        assert (sim.requests, found.url) == ([], "")
        assert "Missing Anthropic API Key" in answer["error"]
        return
    (received,) = sim.requests
    assert found.header == header_seen(received.headers)
    sent = received.headers.get("X-Api-Key") or received.headers["Authorization"]
    assert sent.removeprefix("Bearer ") == found.key


def test_a_model_without_a_route_is_not_sent(sim: Simulator, ask: Ask) -> None:
    """As after `aider --model MiniMax-M2.5`: LiteLLM asks whose model that is."""
    environ = {"ANTHROPIC_BASE_URL": f"{sim.url}/anthropic", "ANTHROPIC_API_KEY": sim.key}
    assert "LLM Provider NOT provided" in ask(MODEL, environ)["error"]
    assert sim.requests == []
    found = route("litellm", environ, model=MODEL)
    assert (found.url, found.problems[0].trouble) == ("", "missing_model")
