"""`%minimax setup` in text: questions, answers, what is said in the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from minimax_magic.config import Settings, load_settings
from minimax_magic.errors import ConfigError
from minimax_magic.ipython import wizard
from minimax_magic.setup_files import Choices, agent_text, llm_text


class Person:
    """Gives answers in order and notes what is asked and said. An exception as answer is raised."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.defaults: list[str] = []
        self.said: list[str] = []

    def answer(self, *answers: str | type[BaseException], force: bool = False) -> None:
        left = iter(answers)

        def ask(prompt: str, default: str) -> str:
            self.asked.append(prompt)
            self.defaults.append(default)
            answer = next(left)
            if isinstance(answer, str):
                return answer
            raise answer

        self._run(ask, force)
        assert list(left) == []

    def be_away(self, *, force: bool = False) -> None:
        self._run(None, force)

    def _run(self, ask: wizard.Ask | None, force: bool) -> None:
        folder = self.root / "config"
        wizard.run(ask, self.said.append, settings_folder=folder, force=force)

    @property
    def settings(self) -> Settings:
        return load_settings(self.root, {}, user_config_dir=self.root / "nowhere")

    def read(self, name: str) -> str:
        return (self.root / "config" / name).read_text()

    def heard(self, words: str) -> bool:
        return any(words in line for line in self.said)


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.chdir(tmp_path)
    return Person(tmp_path)


NEXT: Iterable[str] = [
    "Next: `%minimax login`, or set MINIMAX_API_KEY in the environment of Jupyter.",
    "Then: `%%minimax --agent ana`, and the prompt below it.",
]


def test_nobody_there_means_all_defaults(person: Person) -> None:
    """Without anybody to ask, the files of the defaults are written and told, with what is next."""
    person.be_away()
    assert person.read("llm.yaml") == llm_text(Choices())
    assert person.read("agents.d/ana.yaml") == agent_text(Choices())
    assert person.said == [
        "config/llm.yaml: written.",
        "config/agents.d/ana.yaml: written.",
        *NEXT,
    ]


def test_empty_answers_are_the_defaults(person: Person) -> None:
    """Each question shows its default in brackets, and Enter takes it."""
    person.answer("", " ", "", "")
    prompt = Choices().system_prompt
    assert person.asked == [
        "Region, global or china [global]: ",
        "Model [MiniMax-M2.5]: ",
        "Name of the agent [ana]: ",
        f"System prompt, - for none [{prompt}]: ",
    ]
    assert person.defaults == ["global", "MiniMax-M2.5", "ana", prompt]
    assert person.read("llm.yaml") == llm_text(Choices())
    assert person.read("agents.d/ana.yaml") == agent_text(Choices())


def test_answers_become_settings(person: Person) -> None:
    """What is answered is what the settings say afterwards."""
    person.answer(" China ", "MiniMax-M3", "bert", "Rhyme: always, even ${here}.")
    settings = person.settings
    assert settings.base_url == "https://api.minimaxi.com"
    assert settings.model == "MiniMax-M3"
    assert settings.agent("bert").system_prompt == "Rhyme: always, even ${here}."
    assert person.heard("`%%minimax --agent bert`")
    assert not person.heard("not known here")


def test_known_models_are_offered_and_others_are_accepted(person: Person) -> None:
    """An unknown model is used, and said to be unknown."""
    person.answer("", "my-model", "", "")
    assert person.heard("Known models: MiniMax-M2.5, MiniMax-M2.5-highspeed, MiniMax-M3, ")
    assert person.heard("my-model is not known here and is sent as it is.")
    assert person.settings.model == "my-model"


def test_a_dash_is_no_system_prompt(person: Person) -> None:
    """The system prompt can be declined, although an empty answer is the default."""
    person.answer("", "", "", "-")
    assert person.settings.agent("ana").system_prompt is None


def test_a_wrong_answer_is_explained_and_asked_again(person: Person) -> None:
    """The same question comes again until its answer can be used."""
    key = "sk-cp-0123456789abcdefghijklm"
    person.answer("moon", "global", key, "", "../x", "ok", "")
    shown = [prompt.split(" [")[0] for prompt in person.asked]
    assert shown[:2] == ["Region, global or china"] * 2
    assert shown[2:4] == ["Model"] * 2
    assert shown[4:6] == ["Name of the agent"] * 2
    assert person.heard("This is no region. Choose global or china.")
    assert person.heard("This looks like a key")
    assert person.heard("An agent's name is also the name of a file")
    assert not person.heard(key)
    assert person.settings.agent("ok")


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_giving_up_writes_nothing(person: Person, end: type[BaseException]) -> None:
    """Ctrl-C or Ctrl-D at a question stops calmly, without a file."""
    person.answer("china", "", end)
    assert person.said[-1] == "Nothing was written."
    assert list(person.root.iterdir()) == []


@pytest.mark.parametrize("interactive", [True, False])
def test_what_exists_is_left_and_said_so(person: Person, interactive: bool) -> None:
    """An existing llm.yaml is left alone, how to replace it is told, and the agent is written."""
    (person.root / "config").mkdir()
    (person.root / "config/llm.yaml").write_text("# mine\n")
    if interactive:
        person.answer("", "", "")
        assert not person.asked[0].startswith("Region")
        assert person.said[0].startswith("config/llm.yaml exists and is left as it is")
    else:
        person.be_away()
    assert person.read("llm.yaml") == "# mine\n"
    assert person.said[-5:] == [
        "config/llm.yaml: left as it is.",
        "config/agents.d/ana.yaml: written.",
        "To replace what exists, run it with --force: the old files are kept beside the new.",
        *NEXT,
    ]


def test_force_replaces_and_tells_where_the_old_one_is(person: Person) -> None:
    """With force all questions are asked and the old file is kept."""
    (person.root / "config").mkdir()
    (person.root / "config/llm.yaml").write_text("# mine\n")
    person.answer("china", "", "", "", force=True)
    assert person.read("llm.yaml.bak") == "# mine\n"
    assert person.settings.base_url == "https://api.minimaxi.com"
    assert person.heard("config/llm.yaml: replaced; the old one is config/llm.yaml.bak.")
    assert not person.heard("--force")


def test_an_agent_that_is_not_there_is_not_recommended(person: Person) -> None:
    """If ana.yaml was left and holds another agent, nobody is told to use ana."""
    (person.root / "config/agents.d").mkdir(parents=True)
    (person.root / "config/agents.d/ana.yaml").write_text("agents:\n  - id: bob\n")
    person.be_away()
    assert person.heard("config/agents.d/ana.yaml: left as it is.")
    assert not person.heard("--agent ana")


def test_a_broken_file_is_a_config_error(person: Person) -> None:
    """The error names file and line."""
    (person.root / "config/agents.d").mkdir(parents=True)
    (person.root / "config/agents.d/x.yaml").write_text("agents: [\n")
    with pytest.raises(ConfigError, match=r"^config/agents\.d/x\.yaml line 1: "):
        person.be_away()


def test_a_folder_elsewhere_is_named_by_its_label_or_in_full(
    person: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The caller's label goes first; without one, a folder elsewhere is told by its whole path."""
    folder = tmp_path_factory.mktemp("elsewhere") / "minimax_magic"
    label = "~/.config/minimax_magic"
    wizard.run(None, person.said.append, settings_folder=folder, settings_label=label)
    wizard.run(None, person.said.append, settings_folder=folder)
    assert person.said[0] == f"{label}/llm.yaml: written."
    assert person.heard(f"{folder.as_posix()}/llm.yaml: already so.")
