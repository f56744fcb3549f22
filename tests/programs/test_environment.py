"""The environment and the command line that are made for another program."""

from __future__ import annotations

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.programs.environment import ProgramEnvironment, environment_for, header_of
from minimax_magic.programs.names import PROGRAMS
from minimax_magic.programs.routing import conflicts, route

ROOT = "https://api.minimax.io"
KEY = "sk-cp-abcdefghijklmnop"
MODEL = "MiniMax-M2.5"
# all that could defeat an environment, at once
HOSTILE = {
    "ANTHROPIC_API_BASE": "https://elsewhere.example.com/v1",
    "ANTHROPIC_BASE_URL": "https://elsewhere.example.com",
    "ANTHROPIC_API_KEY": "sk-ant-old",
    "ANTHROPIC_AUTH_TOKEN": "stale",
    "ANTHROPIC_MODEL": "claude-opus",
    "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer old",
    "MINIMAX_API_BASE": "https://api.minimaxi.com/anthropic",
    "MINIMAX_API_KEY": "old",
    "OPENAI_BASE_URL": "https://elsewhere.example.com/v1",
    "OPENAI_API_BASE": "https://elsewhere.example.com/v1",
    "OPENAI_API_KEY": "sk-old",
    "OPENAI_CUSTOM_HEADERS": "authorization: Bearer old",
    "AIDER_MODEL": "sonnet",
    "AIDER_API_KEY": "anthropic=old",
    "AIDER_ANTHROPIC_API_KEY": "old",
    "AIDER_SET_ENV": "ANTHROPIC_API_BASE=https://elsewhere.example.com",
    "AIDER_WEAK_MODEL": "haiku",
    "AIDER_OPUS": "true",
    "LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX": "true",
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "PATH": "/usr/bin",
}


def made(program: str, **options: object) -> ProgramEnvironment:
    given: dict[str, object] = {"root": ROOT, "key": KEY, "model": MODEL, "environ": HOSTILE}
    return environment_for(program, **{**given, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [MODEL, f"minimax/{MODEL}"])
@pytest.mark.parametrize("program", [one for one in PROGRAMS if one != "llm"])
def test_it_leads_to_minimax_from_any_environment(program: str, model: str) -> None:
    """Whatever was set before, the program asks MiniMax for the model with this key."""
    env = made(program, model=model)
    applied = env.applied_to(HOSTILE)
    asked = env.command[-1] if program == "aider" else None
    if program == "litellm":
        asked = model if "/" in model else f"anthropic/{model}"
    found = route(program, applied, model=asked, root=ROOT)
    assert found.problems == ()
    assert found.url.startswith(ROOT)
    assert found.key == KEY
    assert found.header == header_of(program, model)
    if asked or program == "claude-code":
        assert found.model == MODEL
    assert applied["PATH"] == "/usr/bin"


def test_aider_is_as_in_the_guide() -> None:
    """Key, Anthropic-compatible address, and the model on the command line."""
    env = made("aider", environ={})
    values = {variable.name: variable.value for variable in env.variables}
    assert values["ANTHROPIC_API_KEY"] == KEY
    assert values["ANTHROPIC_BASE_URL"] == f"{ROOT}/anthropic"
    assert env.command == ("aider", "--model", f"anthropic/{MODEL}")
    assert [name for name, _ in env.unset] == ["ANTHROPIC_API_BASE"]
    assert route("aider", values).problems == ()  # also where --model is forgotten


def test_only_aider_with_anthropic_sends_x_api_key_and_it_says_so() -> None:
    """All others send Bearer, which MiniMax has always taken."""
    assert {one: header_of(one) for one in PROGRAMS} == {
        **dict.fromkeys(PROGRAMS, "bearer"),
        "aider": "x-api-key",
    }
    (note,) = [one for one in made("aider").notes if "x-api-key" in one]
    assert "python -m minimax_magic aider" in note
    assert f"minimax/{MODEL}" in note
    assert not [one for one in made("aider", model=f"minimax/{MODEL}").notes if "x-api-key" in one]


def test_claude_code_gets_a_model_for_every_role_and_time() -> None:
    """No role is left with a model of Anthropic, and a long answer is not cut off."""
    env = made("claude-code")
    values = {variable.name: variable.value for variable in env.variables}
    assert {value for name, value in values.items() if name.endswith("_MODEL")} == {MODEL}
    assert values["API_TIMEOUT_MS"] == "3000000"
    assert values["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    gone = [name for name, _ in env.unset]
    assert gone == ["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_CUSTOM_HEADERS"]


def test_llm_gets_a_file() -> None:
    """It has no variable for the address: a file beside its database names it."""
    env = made("llm", environ={"LLM_USER_PATH": "/home/me/llm"})
    (file,) = env.files
    assert file.name == "extra-openai-models.yaml"
    assert "LLM_USER_PATH" in file.place
    assert f'api_base: "{ROOT}/v1"' in file.text
    assert "api_key_name: minimax" in file.text
    assert KEY not in file.text
    assert "llm logs path" in made("llm", environ={}).files[0].place


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_value_is_explained_and_no_key_shows_itself(program: str) -> None:
    """One line for each, and neither the repr nor the command line has the key."""
    env = made(program)
    assert all(v.why.endswith(".") and len(v.why) < 100 for v in env.variables)
    assert all(why.endswith(".") for _, why in env.unset)
    secret = [v for v in env.variables if v.secret]
    assert secret
    assert all(isinstance(v.value, MaskedStr) for v in secret)
    assert KEY not in repr(env)
    assert KEY not in " ".join(env.command)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_made_is_no_conflict(program: str) -> None:
    """The doctor finds nothing wrong in a shell where it was evaluated."""
    applied = made(program, environ={}).applied_to({})
    assert conflicts(applied, root=ROOT) == ()


def test_a_gateway_is_used_as_any_other_server() -> None:
    """Its address and key stand where MiniMax's would."""
    env = made("openai-sdk", root="http://127.0.0.1:49152", key="local")
    values = {variable.name: variable.value for variable in env.variables}
    assert values == {"OPENAI_BASE_URL": "http://127.0.0.1:49152/v1", "OPENAI_API_KEY": "local"}
    assert "http://127.0.0.1:49152 is on this machine" in env.notes[-1]
    aider = made("aider", root="http://127.0.0.1:49152")
    assert not [one for one in aider.notes if "x-api-key" in one]  # it takes any header


@pytest.mark.parametrize(
    ("environ", "root", "expected"),
    [
        ({}, "http://127.0.0.1:1", {}),
        ({"NO_PROXY": "a.example"}, "http://127.0.0.1:1", {}),
        ({"HTTP_PROXY": "http://p:1"}, ROOT, {}),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:1", {"NO_PROXY": "127.0.0.1"}),
        ({"all_proxy": "http://p:1"}, "http://localhost:1", {"NO_PROXY": "localhost"}),
        (
            {"https_proxy": "http://p:1", "NO_PROXY": ".corp.example"},
            "http://127.0.0.1:1",
            {"NO_PROXY": ".corp.example,127.0.0.1"},
        ),
        (
            {"http_proxy": "http://p:1", "NO_PROXY": "a", "no_proxy": "b"},
            "http://127.0.0.1:1",
            {"no_proxy": "b,127.0.0.1"},
        ),
        ({"http_proxy": "http://p:1", "NO_PROXY": "a, 127.0.0.1"}, "http://127.0.0.1:1", {}),
        ({"http_proxy": "http://p:1", "NO_PROXY": "*"}, "http://127.0.0.1:1", {}),
    ],
)
def test_a_proxy_is_not_asked_for_this_machine(
    environ: dict[str, str], root: str, expected: dict[str, str]
) -> None:
    """Where a proxy is set, an address of this machine is added to the list that counts, with the
    reason; nothing that was on it is lost."""
    for program in PROGRAMS:
        env = made(program, root=root, environ=environ)
        found = [one for one in env.variables if one.name.lower() == "no_proxy"]
        assert {one.name: one.value for one in found} == expected
        assert all("proxy is set" in one.why and not one.secret for one in found)


@pytest.mark.parametrize(
    ("program", "options", "said"),
    [
        ("aider", {"flavor": ApiFlavor.OPENAI_COMPAT}, "/v1/v1/messages.*minimax/MiniMax-M2.5"),
        ("aider", {"root": f"{ROOT}/v1"}, "/v1/v1/messages"),
        ("claude-code", {"root": f"{ROOT}/v1"}, "does not speak OpenAI's wire"),
        ("anthropic-sdk", {"flavor": ApiFlavor.OPENAI_COMPAT}, f"its address is {ROOT}/anthropic"),
        ("openai-sdk", {"root": f"{ROOT}/anthropic"}, "does not speak Anthropic's wire"),
        ("llm", {"flavor": ApiFlavor.ANTHROPIC_MESSAGES}, f"its address is {ROOT}/v1"),
        ("aider", {"model": " "}, "No model was named"),
        ("aider", {"model": "anthropic/"}, "No model was named"),
        ("aider", {"model": "gemini/MiniMax-M2.5"}, "'gemini' does not lead to MiniMax"),
        ("aider", {"model": "Mini'Max; rm"}, "is not the id of a model"),
        ("aider", {"key": " "}, "no key"),
        ("aider", {"root": "http://api.minimax.io"}, "plain http"),
        ("Aider", {}, "did you mean aider"),
        ("cursor", {}, "no environment for 'cursor'"),
    ],
)
def test_what_would_fail_is_refused(program: str, options: dict[str, object], said: str) -> None:
    """With what would happen, and what to do instead."""
    with pytest.raises(ConfigError, match=said) as caught:
        made(program, **options)
    assert caught.value.hint or "no key" in said
    assert KEY not in str(caught.value)


def test_the_openai_wire_is_taken_for_aider_with_its_own_route() -> None:
    """minimax/ speaks OpenAI's wire, so that asking for it is right."""
    env = made("aider", model=f"minimax/{MODEL}", flavor=ApiFlavor.OPENAI_COMPAT)
    values = {variable.name: variable.value for variable in env.variables}
    assert values["MINIMAX_API_BASE"] == f"{ROOT}/v1"
    assert "ANTHROPIC_API_KEY" not in values
