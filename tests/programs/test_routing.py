"""Where other programs would send a request, told from their variables.

What LiteLLM really asks for is compared in `test_litellm.py`.
"""

from __future__ import annotations

import pytest

from minimax_magic.doctor.remedies import trouble
from minimax_magic.errors import ConfigError
from minimax_magic.programs.names import PROGRAMS
from minimax_magic.programs.routing import conflicts, route

ROOT = "https://api.minimax.io"
CHINA = "https://api.minimaxi.com"
GOOD = {"ANTHROPIC_API_KEY": "the-key", "ANTHROPIC_BASE_URL": f"{ROOT}/anthropic"}
MODEL = "anthropic/MiniMax-M2.5"


def troubles(environ: dict[str, str], root: str = ROOT) -> list[str]:
    return [conflict.trouble for conflict in conflicts(environ, root=root)]


def test_the_guides_working_configuration_is_right() -> None:
    """The variables and the model of the guide lead to MiniMax, and nothing is wrong with them."""
    found = route("aider", GOOD, model=MODEL, root=ROOT)
    assert found.url == f"{ROOT}/anthropic/v1/messages"
    assert (found.base_from, found.key_from) == (
        "environment ANTHROPIC_BASE_URL",
        "environment ANTHROPIC_API_KEY",
    )
    assert (found.header, found.model, found.problems) == ("x-api-key", "MiniMax-M2.5", ())
    assert conflicts(GOOD, root=ROOT) == ()


def test_the_guides_failing_configuration_asks_for_v1_twice() -> None:
    """The address of OpenAI's wire behind anthropic/ leads to /v1/v1/messages."""
    environ = {"ANTHROPIC_API_KEY": "the-key", "ANTHROPIC_API_BASE": f"{ROOT}/v1"}
    found = route("aider", environ, model=MODEL)
    assert found.url == f"{ROOT}/v1/v1/messages"
    assert [problem.trouble for problem in found.problems] == ["wrong_wire"]
    assert f"it should be {ROOT}/anthropic" in found.problems[0].said
    assert troubles(environ) == ["wrong_wire"]


def test_aider_without_a_model_asks_for_one_of_anthropic() -> None:
    """The address is right, but the model that MiniMax would be asked for is not one of its own."""
    found = route("aider", GOOD)
    assert found.url == f"{ROOT}/anthropic/v1/messages"
    assert found.model.startswith("claude-")
    assert [problem.trouble for problem in found.problems] == ["missing_model"]
    assert "--model" in found.problems[0].said
    assert route("aider", {}).problems[0].trouble == "missing_model"


def test_aider_takes_its_model_from_a_variable() -> None:
    """AIDER_MODEL is as good as --model, and --model beats it."""
    environ = {**GOOD, "AIDER_MODEL": MODEL}
    assert route("aider", environ).problems == ()
    assert route("aider", environ, model="anthropic/MiniMax-M3").model == "MiniMax-M3"


def test_a_model_without_its_route_is_not_sent_at_all() -> None:
    """LiteLLM does not know whose model it is; the doctor says so if the variable is set."""
    found = route("aider", GOOD, model="MiniMax-M2.5")
    assert found.url == ""
    assert found.problems[0].trouble == "missing_model"
    assert "anthropic/MiniMax-M2.5" in found.problems[0].said
    assert troubles({**GOOD, "AIDER_MODEL": "MiniMax-M2"}) == ["missing_model"]
    assert troubles({"AIDER_MODEL": "gpt-4o"}) == []


def test_api_base_beats_base_url() -> None:
    """LiteLLM takes ANTHROPIC_API_BASE where both are set; the SDK does not look at it."""
    environ = {**GOOD, "ANTHROPIC_API_BASE": "https://proxy.example.com/llm"}
    found = route("litellm", environ, model=MODEL)
    assert found.url == "https://proxy.example.com/llm/v1/messages"
    assert found.base_from == "environment ANTHROPIC_API_BASE"
    (conflict,) = conflicts(environ, root=ROOT)
    assert conflict.trouble == "base_url_conflict"
    assert conflict.variables == ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
    assert conflict.programs == ("aider", "litellm")
    assert route("anthropic-sdk", environ).url == f"{ROOT}/anthropic/v1/messages"


def test_two_variables_that_agree_are_no_conflict() -> None:
    """The same address twice, or the winner right, breaks nothing for LiteLLM."""
    assert troubles({**GOOD, "ANTHROPIC_API_BASE": f"{ROOT}/anthropic"}) == []
    assert troubles({**GOOD, "ANTHROPIC_API_BASE": f"{ROOT}/anthropic/v1/messages"}) == []


def test_an_empty_variable_is_none_for_litellm_but_an_address_for_the_sdk() -> None:
    """An empty ANTHROPIC_API_BASE gives way; an empty ANTHROPIC_BASE_URL breaks Anthropic's SDK."""
    assert route("litellm", {**GOOD, "ANTHROPIC_API_BASE": ""}, model=MODEL).problems == ()
    found = route("anthropic-sdk", {"ANTHROPIC_BASE_URL": "", "ANTHROPIC_API_KEY": "k"})
    assert (found.url, found.problems[0].trouble) == ("", "base_url_missing")


def test_litellm_can_be_told_to_take_the_address_as_it_is() -> None:
    """LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX keeps /v1/messages from being put behind it."""
    environ = {**GOOD, "LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX": "true"}
    assert route("litellm", environ, model=MODEL).url == f"{ROOT}/anthropic"
    (conflict,) = conflicts(environ, root=ROOT)
    assert conflict.trouble == "wrong_wire"
    assert conflict.variables == ("LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX",)


@pytest.mark.parametrize(
    ("variable", "value", "programs"),
    [
        ("ANTHROPIC_BASE_URL", "", ("aider", "litellm", "claude-code", "anthropic-sdk")),
        ("ANTHROPIC_BASE_URL", "/v1", ("aider", "litellm", "claude-code", "anthropic-sdk")),
        ("ANTHROPIC_BASE_URL", "/anthropic/", ("aider", "litellm")),
        ("ANTHROPIC_BASE_URL", "/anthropic/v1/messages", ("claude-code", "anthropic-sdk")),
        ("MINIMAX_API_BASE", "/anthropic", ("aider", "litellm")),
        ("MINIMAX_API_BASE", "/v1/", ("aider", "litellm")),
        ("OPENAI_BASE_URL", "/anthropic", ("aider", "litellm", "openai-sdk")),
        ("OPENAI_BASE_URL", "", ("aider", "litellm", "openai-sdk")),
        ("OPENAI_API_BASE", "/anthropic", ("aider", "litellm")),
    ],
)
def test_an_address_of_the_other_wire_is_named(
    variable: str, value: str, programs: tuple[str, ...]
) -> None:
    """Each variable wants the path of its own wire, and only those who read it are affected."""
    (conflict,) = conflicts({variable: ROOT + value}, root=ROOT)
    assert (conflict.trouble, conflict.variables) == ("wrong_wire", (variable,))
    assert sorted(conflict.programs) == sorted(programs)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ANTHROPIC_BASE_URL", "/anthropic"),
        ("ANTHROPIC_API_BASE", "/anthropic/v1/messages"),
        ("MINIMAX_API_BASE", ""),
        ("MINIMAX_API_BASE", "/v1"),
        ("OPENAI_BASE_URL", "/v1"),
        ("OPENAI_BASE_URL", "/v1/"),
    ],
)
def test_a_right_address_is_left_alone(variable: str, value: str) -> None:
    """Whatever leads to an address that MiniMax has is no conflict."""
    assert conflicts({variable: ROOT + value}, root=ROOT) == ()


def test_the_messages_api_of_litellm_wants_the_other_path_in_the_same_variable() -> None:
    """MINIMAX_API_BASE is shared by two wires: what is right for chat is wrong for messages."""
    environ = {"MINIMAX_API_KEY": "k", "MINIMAX_API_BASE": f"{ROOT}/v1"}
    model = "minimax/MiniMax-M2.5"
    assert route("litellm", environ, model=model).problems == ()
    found = route("litellm", environ, model=model, messages=True)
    assert found.url == f"{ROOT}/v1/v1/messages"
    assert [problem.trouble for problem in found.problems] == ["wrong_wire"]
    environ["MINIMAX_API_BASE"] = f"{ROOT}/anthropic"
    assert route("litellm", environ, model=model, messages=True).problems == ()


def test_an_address_in_the_other_region_is_named() -> None:
    """A key works in its own region only, so the address of the other one cannot."""
    for variable, path in (
        ("ANTHROPIC_BASE_URL", "/anthropic"),
        ("MINIMAX_API_BASE", "/v1"),
        ("OPENAI_BASE_URL", "/v1"),
    ):
        (conflict,) = conflicts({variable: CHINA + path}, root=ROOT)
        assert conflict.trouble == "unauthorized"
        assert "China" in conflict.said
        assert "Global" in conflict.said
        # the two Chinese hosts are one region
        assert conflicts({variable: CHINA + path}, root="https://api.minimax.cn") == ()


def test_the_default_region_of_litellm_may_be_the_other_one() -> None:
    """Without MINIMAX_API_BASE the route minimax/ asks the global server, also with a Chinese key."""
    found = route("litellm", {"MINIMAX_API_KEY": "k"}, model="minimax/MiniMax-M2.5", root=CHINA)
    assert found.url == f"{ROOT}/v1/chat/completions"
    assert found.base_from == "default"
    assert [problem.trouble for problem in found.problems] == ["unauthorized"]
    assert "MINIMAX_API_BASE is not set" in found.problems[0].said


def test_a_token_beside_a_key_is_named_where_minimax_is_meant() -> None:
    """Programs do not agree which of the two to send; elsewhere that is not our business."""
    both = {**GOOD, "ANTHROPIC_AUTH_TOKEN": "another"}
    (conflict,) = conflicts(both, root=ROOT)
    assert (conflict.trouble, conflict.programs) == (
        "stale_token",
        ("claude-code", "anthropic-sdk"),
    )
    assert troubles({**GOOD, "ANTHROPIC_AUTH_TOKEN": "the-key"}) == []
    assert troubles({"ANTHROPIC_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b"}) == []
    assert "another" not in repr(conflict)


def test_a_key_of_anthropic_is_named_where_minimax_is_asked() -> None:
    """sk-ant-... is a leftover: MiniMax refuses it."""
    environ = {"ANTHROPIC_BASE_URL": f"{ROOT}/anthropic", "ANTHROPIC_AUTH_TOKEN": "sk-ant-x"}
    assert troubles(environ) == ["stale_token"]
    assert troubles({"ANTHROPIC_AUTH_TOKEN": "sk-ant-x"}) == []


def test_a_key_in_custom_headers_is_named() -> None:
    """It is sent instead of those in the variables for keys."""
    environ = {**GOOD, "ANTHROPIC_CUSTOM_HEADERS": "X-Team: a\nAuthorization: Bearer old"}
    (conflict,) = conflicts(environ, root=ROOT)
    assert (conflict.trouble, conflict.variables) == ("stale_token", ("ANTHROPIC_CUSTOM_HEADERS",))
    assert troubles({**GOOD, "ANTHROPIC_CUSTOM_HEADERS": "X-Team: a"}) == []


def test_aiders_own_variables_are_applied_first() -> None:
    """AIDER_... beat the others, in Aider's order, and the route says which one decided."""
    environ = {
        **GOOD,
        "AIDER_SET_ENV": f"[ANTHROPIC_API_BASE={ROOT}/v1, OTHER=x]",
        "AIDER_API_KEY": "anthropic=second",
        "AIDER_MODEL": MODEL,
    }
    found = route("aider", environ)
    assert found.url == f"{ROOT}/v1/v1/messages"
    assert (found.base_from, found.key_from) == (
        "environment AIDER_SET_ENV",
        "environment AIDER_API_KEY",
    )
    assert found.key == "second"
    environ["AIDER_ANTHROPIC_API_KEY"] = "third"
    found = route("aider", environ)
    assert (found.key_from, found.key) == ("environment AIDER_ANTHROPIC_API_KEY", "third")
    assert "stale_token" in [problem.trouble for problem in found.problems]


def test_aider_does_not_read_the_token() -> None:
    """Its LiteLLM knows no ANTHROPIC_AUTH_TOKEN; a newer LiteLLM sends it as Bearer."""
    environ = {"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_BASE_URL": f"{ROOT}/anthropic"}
    found = route("aider", environ, model=MODEL)
    assert (found.url, found.header, found.key_from) == ("", "none", "nothing")
    assert [problem.trouble for problem in found.problems] == ["key_missing"]
    newer = route("litellm", environ, model=MODEL)
    assert (newer.header, newer.problems) == ("bearer", ())


def test_claude_code_prefers_the_token_and_needs_a_model() -> None:
    """Without ANTHROPIC_MODEL it would ask MiniMax for a model of Anthropic."""
    found = route("claude-code", {**GOOD, "ANTHROPIC_AUTH_TOKEN": "the-key"})
    assert (found.header, found.key_from) == ("bearer", "environment ANTHROPIC_AUTH_TOKEN")
    assert [problem.trouble for problem in found.problems] == ["missing_model"]


def test_the_sdks_read_one_variable_each() -> None:
    """OPENAI_API_BASE and ANTHROPIC_API_BASE are LiteLLM's alone, so that the key goes elsewhere."""
    found = route("openai-sdk", {"OPENAI_API_BASE": f"{ROOT}/v1", "OPENAI_API_KEY": "k"})
    assert found.url == "https://api.openai.com/v1/chat/completions"
    assert [problem.trouble for problem in found.problems] == ["base_url_missing"]
    assert found.problems[0].step == f"Set OPENAI_BASE_URL to {ROOT}/v1."
    found = route("anthropic-sdk", {"ANTHROPIC_API_BASE": f"{ROOT}/anthropic"})
    assert found.url == "https://api.anthropic.com/v1/messages"
    assert "ANTHROPIC_BASE_URL is not set" in found.problems[0].said
    right = {"OPENAI_BASE_URL": f"{ROOT}/v1", "OPENAI_API_KEY": "k"}
    assert route("openai-sdk", right, root=ROOT).problems == ()


@pytest.mark.parametrize(
    ("program", "environ", "trouble_name", "step"),
    [
        (
            "openai-sdk",
            {"OPENAI_API_KEY": "k"},
            "base_url_missing",
            f"Set OPENAI_BASE_URL to {ROOT}/v1.",
        ),
        ("claude-code", {}, "base_url_missing", f"Set ANTHROPIC_BASE_URL to {ROOT}/anthropic."),
        ("claude-code", GOOD, "missing_model", "Set ANTHROPIC_MODEL to {model}."),
        (
            "llm",
            {},
            "missing_model",
            "Set LLM_MODEL to {model}, or start it with `llm -m {model}`.",
        ),
        (
            "openai-sdk",
            {"OPENAI_BASE_URL": f"{ROOT}/anthropic"},
            "wrong_wire",
            f"Set OPENAI_BASE_URL to {ROOT}/v1.",
        ),
        (
            "litellm",
            {"MINIMAX_API_KEY": "k", "MINIMAX_API_BASE": f"{ROOT}/anthropic"},
            "wrong_wire",
            f"Set MINIMAX_API_BASE to {ROOT}/v1.",
        ),
        (
            "litellm",
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": ROOT},
            "wrong_wire",
            f"Set ANTHROPIC_BASE_URL to {ROOT}/anthropic.",
        ),
        (
            "anthropic-sdk",
            {**GOOD, "ANTHROPIC_API_KEY": "sk-ant-x"},
            "stale_token",
            "Set ANTHROPIC_API_KEY to your MiniMax key, or remove it.",
        ),
        (
            "anthropic-sdk",
            {"ANTHROPIC_BASE_URL": f"{CHINA}/anthropic", "ANTHROPIC_API_KEY": "k"},
            "unauthorized",
            f"Set ANTHROPIC_BASE_URL to {ROOT}/anthropic.",
        ),
    ],
)
def test_what_mends_a_conflict_is_about_its_own_variable(
    program: str, environ: dict[str, str], trouble_name: str, step: str
) -> None:
    """The first step names the variable of the program in question, and no other program."""
    problem = route(program, environ, root=ROOT).problems[0]
    assert (problem.trouble, problem.step) == (trouble_name, step)
    if problem.cause and program != "aider":
        assert "Aider" not in problem.cause


def test_openai_base_url_beats_api_base_in_litellm() -> None:
    """The other way round than with Anthropic's variables."""
    environ = {
        "OPENAI_API_KEY": "k",
        "OPENAI_API_BASE": f"{ROOT}/v1",
        "OPENAI_BASE_URL": "https://proxy.example.com/v1",
    }
    found = route("litellm", environ, model="openai/MiniMax-M2.5")
    assert found.url == "https://proxy.example.com/v1/chat/completions"
    (conflict,) = conflicts(environ, root=ROOT)
    assert conflict.trouble == "base_url_conflict"
    assert "ANTHROPIC" not in conflict.cause + conflict.step
    assert conflict.step.startswith("Remove OPENAI_BASE_URL")


def test_llm_is_decided_by_a_file() -> None:
    """Only its model and its key are in variables."""
    found = route("llm", {"OPENAI_API_KEY": "k"})
    assert (found.url, found.base_from) == ("", "file extra-openai-models.yaml")
    assert found.problems[0].trouble == "missing_model"
    assert route("llm", {"LLM_MODEL": "MiniMax-M2.5"}).problems == ()


def test_a_machine_that_has_nothing_to_do_with_minimax_has_no_conflicts() -> None:
    """Other servers, also two at once, and somebody's own keys are left alone."""
    environ = {
        "ANTHROPIC_API_BASE": "https://one.example.com",
        "ANTHROPIC_BASE_URL": "https://two.example.com/v1",
        "ANTHROPIC_API_KEY": "sk-ant-a",
        "ANTHROPIC_AUTH_TOKEN": "b",
        "OPENAI_BASE_URL": "not an address",
        "OPENAI_API_KEY": "sk-c",
        "AIDER_MODEL": "sonnet",
    }
    assert conflicts(environ, root=ROOT) == ()
    assert conflicts({}, root=ROOT) == ()


def test_a_server_of_ones_own_is_meant_when_it_is_the_configured_one() -> None:
    """The simulator or a gateway: its own port is it, another one is not."""
    root = "http://127.0.0.1:4567"
    assert troubles({"ANTHROPIC_BASE_URL": f"{root}/v1"}, root) == ["wrong_wire"]
    assert troubles({"ANTHROPIC_BASE_URL": f"{root}/anthropic"}, root) == []
    assert troubles({"ANTHROPIC_BASE_URL": "http://127.0.0.1:9999/v1"}, root) == []


def test_no_key_and_no_password_is_ever_said() -> None:
    """Conflicts and routes can be printed as they are."""
    secret = "sk-cp-abcdefghijklmnop"
    environ = {
        **GOOD,
        "ANTHROPIC_API_KEY": secret,
        "ANTHROPIC_AUTH_TOKEN": f"{secret}2",
        "ANTHROPIC_API_BASE": "https://user:hunter2pass@proxy.example.com/v1?key=querysecret",
        "AIDER_API_KEY": f"anthropic={secret}3",
        "AIDER_MODEL": MODEL,
    }
    said = "".join(map(repr, conflicts(environ, root=ROOT)))
    said += "".join(
        repr((found.key, found.problems)) for found in (route(one, environ) for one in PROGRAMS)
    )
    assert "base_url_conflict" in said
    for hidden in (secret, "hunter2pass", "querysecret"):
        assert hidden not in said


def test_every_trouble_is_in_the_table() -> None:
    """What a conflict names is an entry that tells how to mend it."""
    environ = {
        "ANTHROPIC_API_BASE": f"{ROOT}/v1",
        "ANTHROPIC_BASE_URL": f"{CHINA}/anthropic",
        "ANTHROPIC_API_KEY": "sk-ant-a",
        "ANTHROPIC_AUTH_TOKEN": "b",
        "MINIMAX_API_BASE": f"{CHINA}/v1",
        "AIDER_MODEL": "MiniMax-M2",
    }
    found = [*conflicts(environ, root=ROOT)]
    found += [problem for one in PROGRAMS for problem in route(one, environ, root=ROOT).problems]
    found += [problem for one in PROGRAMS for problem in route(one, {}, root=ROOT).problems]
    names = {conflict.trouble for conflict in found}
    assert {"wrong_wire", "base_url_conflict", "stale_token", "missing_model"} <= names
    assert {"unauthorized", "key_missing"} <= names
    for name in names:
        assert trouble(name).steps
    assert all(conflict.said.endswith(".") for conflict in found)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("adier", "aider"), ("claude", "claude-code"), ("openai", "openai-sdk")]
)
def test_an_unknown_program_is_an_error_that_names_the_nearest(wrong: str, meant: str) -> None:
    """With all that there are."""
    with pytest.raises(ConfigError, match=f"did you mean {meant}\\?.*anthropic-sdk"):
        route(wrong, {})
