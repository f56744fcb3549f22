"""Turns of a session: tools, data and images that go along, what a chat keeps, and dry runs."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel
from session_cells import ask, finder, read, run, stop_at, write

from minimax_magic.ask import Ask
from minimax_magic.chats import unpaired, whole_turns
from minimax_magic.context.describe import Piece
from minimax_magic.errors import ConfigError, MinimaxError, OutputInvalid
from minimax_magic.events import CallBegun, CallEnded, StepBegun
from minimax_magic.images import image_block
from minimax_magic.messages import ApiFlavor, Message, ToolCall, ToolResult
from minimax_magic.render.dry_run import preview
from minimax_magic.session import Session
from minimax_magic.simulator import Fail, Reply, Simulator
from minimax_magic.simulator import ToolCall as Calls
from minimax_magic.structured import output_type

M3 = "MiniMax-M3"
AGENT = """
agents:
  - id: ana
    model: {provider: minimax, model: MiniMax-M2.7}
    tools: [weather]
    max_steps: 2
"""


class City(BaseModel):
    name: str
    people: int


def weather(city: str) -> str:
    """What it is like there."""
    return f"sunny in {city}"


def clock() -> int:
    """The hour."""
    return 12


TOOLS = {"find_tool": finder(weather, clock)}


def png(width: int = 3, colour: str = "red") -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, 2), colour).save(file, "PNG")
    return file.getvalue()


def picture(data: bytes) -> Any:
    return image_block(data, name="it")


@pytest.fixture(params=[*ApiFlavor])
def sim(
    env: Callable[..., None], request: pytest.FixtureRequest, data_folder: None
) -> Iterator[Simulator]:
    """The simulator as the configured server, on each wire."""
    with Simulator() as simulator:
        env(base_url=simulator.url, code_plan_key=simulator.key, api_flavor=request.param)
        yield simulator


@pytest.fixture
def data_folder(tmp_path: Path) -> None:
    """An agent with tools."""
    write(AGENT, "agents.d/a.yaml")


def offered(body: dict[str, Any]) -> list[str]:
    return [tool.get("function", tool)["name"] for tool in body.get("tools") or []]


def roles(session: Session, chat: str = "c") -> list[str]:
    return [message.role for message in session.chats[chat]]


TURN = ["user", "assistant", "tool", "assistant"]


# ----------------------------------------------------------------------------------------- agents


def test_an_agent_with_tools(sim: Simulator) -> None:
    """An agent's tools are offered, and its max_steps ends the loop; a warning says so."""
    reply = ask(Session(), "[[steps 5]] weather", agent="ana", **TOOLS)
    assert [offered(request.body) for request in sim.requests] == [["weather"]] * 2
    assert sim.requests[0].body["model"] == "MiniMax-M2.7"
    assert "max_steps" in reply.warnings[-1]


def test_the_options_of_a_cell_go_over_its_agent(sim: Simulator) -> None:
    """Tools and max_steps that the cell names are used instead of the agent's."""
    reply = ask(Session(), "[[steps 2]] clock", agent="ana", tools=("clock",), max_steps=3, **TOOLS)
    assert [offered(request.body) for request in sim.requests] == [["clock"]] * 3
    assert "returned `12`" in reply.text
    assert not reply.warnings


def test_a_tool_that_is_not_defined(sim: Simulator) -> None:
    """It is an error before sending, which names the file if only the agent's file names the tool."""
    find = finder(clock)
    with pytest.raises(ConfigError, match=r"no weather.*agents\.d/a\.yaml line 3\)\.") as caught:
        Session().prepare(Ask("hi", agent="ana", find_tool=find))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no weather") as caught:
        Session().prepare(Ask("hi", agent="ana", tools=("weather",), find_tool=find))
    assert "a.yaml" not in str(caught.value)
    with pytest.raises(ConfigError, match="no tool weather"):
        Session().prepare(Ask("hi", agent="ana"))
    assert sim.requests == []


# ----------------------------------------------------------------------------------- what goes along


def blocks_of(sim: Simulator) -> list[dict[str, Any]]:
    content = sim.requests[-1].body["messages"][-1]["content"]
    assert isinstance(content, list)
    return content


def test_data_goes_behind_the_prompt(sim: Simulator) -> None:
    """Context is a second block of text: the prompt stands alone, as it was written."""
    ask(Session(), "Look {here}: $x$", context=(Piece("df", "3 rows"), Piece("f", "def f(): ...")))
    prompt, data = blocks_of(sim)
    assert prompt == {"type": "text", "text": "Look {here}: $x$"}
    assert data["type"] == "text"
    assert data["text"].index("3 rows") < data["text"].index("def f()")


def test_images_go_before_the_prompt(sim: Simulator) -> None:
    """Images come first, in their order, then those of figures, then the words; each byte arrives."""
    first, second, figure = png(3), png(4), png(5, "blue")
    ask(
        Session(),
        model=M3,
        images=(picture(first), picture(second)),
        context=(Piece("fig", "a figure", picture(figure)),),
    )
    assert [image.data for image in sim.images] == [first, second, figure]
    kinds = [block["type"].removesuffix("_url") for block in blocks_of(sim)]
    assert kinds == ["image"] * 3 + ["text"] * 2


@pytest.mark.parametrize(("model", "pictures"), [("MiniMax-M2.5", 0), (M3, 1), ("my-own", 1)])
def test_pictures_of_figures(sim: Simulator, model: str, pictures: int) -> None:
    """The picture of a figure in the context goes to models that see, and to those we do not know; the
    others are told about it in words."""
    sim.script(Reply("seen"))
    figure = Piece("fig", "a figure with 2 lines", picture(png()))
    turn = Session().prepare(Ask("hi", model=model, context=(figure,)))
    assert [b.type for b in turn._stream.request.messages[-1].content].count("image") == pictures
    if model != "my-own":
        ask(Session(), model=model, context=(figure,))
        assert len(sim.images) == pictures
        assert "a figure with 2 lines" in blocks_of(sim)[-1]["text"]


def test_models_that_do_not_see(sim: Simulator) -> None:
    """An image for M2, new or from an earlier turn, is refused before sending; models that see are
    named."""
    session = Session()
    ask(session, model=M3, chat="c", images=(picture(png()),))
    for options in ({"images": (picture(png()),)}, {"chat": "c"}):
        with pytest.raises(ConfigError, match=r"M2\.7 does not take images.*MiniMax-M3"):
            session.prepare(Ask("hi", model="MiniMax-M2.7", **options))
        with pytest.raises(ConfigError, match="does not take images"):
            session.preview(Ask("hi", model="MiniMax-M2.7", **options))
    assert len(sim.requests) == 1


def test_a_dry_run(sim: Simulator, env: Callable[..., None]) -> None:
    """It shows tools, type of the answer, data, and images without their bytes, and what it would cost;
    nothing is sent, and no key is needed."""
    data = png(40)
    noise = Image.effect_noise((60, 60), 90)
    file = BytesIO()
    noise.save(file, "PNG")
    wish = {
        "model": M3,
        "tools": ("weather",),
        "output": output_type(City),
        "context": (Piece("df", "3 rows of 2"),),
        "images": (picture(file.getvalue()), picture(data)),
        **TOOLS,
    }
    shown = Session().preview(Ask("how many?", **wish))
    body = json.loads(shown.body)
    assert offered(body) == ["weather", "give_answer"]
    for text in ("how many?", "3 rows of 2", "characters of base64"):
        assert text in shown.body
    assert base64.b64encode(file.getvalue()).decode()[200:300] not in shown.body
    assert shown.least is not None
    assert shown.most is not None
    assert Decimal(0) < shown.least < shown.most
    env(code_plan_key="")
    without = Session().preview(Ask("how many?", **wish))
    assert (without.body, without.least) == (shown.body, shown.least)
    assert re.search(r"Cost: about \$.* at most", preview(without)["text/plain"])
    assert sim.requests == []


# ------------------------------------------------------------------------------------------- chats


def test_a_chat_keeps_calls_and_results(sim: Simulator) -> None:
    """A turn is kept with the calls and what came of them, and the next one carries all of it."""
    session = Session()
    prompt = "weather and clock, please"
    reply = ask(session, prompt, chat="c", tools=("weather", "clock"), **TOOLS)
    assert "sunny in" in reply.text
    assert roles(session) == TURN
    _, calls, results, _ = session.chats["c"]
    assert {b.name for b in calls.content if isinstance(b, ToolCall)} == {"weather", "clock"}
    assert len([b for b in results.content if isinstance(b, ToolResult)]) == 2
    turn = session.prepare(Ask("and now?", chat="c"))
    assert turn.number == 2
    assert ask(session, "and now?", chat="c").text
    sent = json.dumps(sim.requests[-1].body["messages"])
    assert sent.count("sunny in") == 2
    assert roles(session) == [*TURN, "user", "assistant"]


def test_a_loop_that_came_to_no_end(sim: Simulator) -> None:
    """A turn that used up its requests is kept with every result, and the chat goes on."""
    session = Session()
    ask(session, "[[steps 9]] clock", chat="c", tools=("clock",), max_steps=2, **TOOLS)
    assert unpaired(session.chats["c"]) is None
    assert roles(session) == ["user", "assistant", "tool", "assistant", "tool"]
    assert ask(session, "go on", chat="c").text
    assert len(whole_turns(session.chats["c"])) == 2


@pytest.mark.parametrize(
    ("event", "result"), [(CallBegun, "stopped"), (CallEnded, "12"), (StepBegun, "12")]
)
def test_a_stopped_turn_with_calls(sim: Simulator, event: type, result: str) -> None:
    """Stopped while a tool runs, after it, or in the next answer: what was done is kept, each call with
    a result, and the server takes it."""
    session = Session()

    async def slow() -> int:
        """Takes its time."""
        if event is CallBegun:
            await asyncio.sleep(30)
        return 12

    async def cell() -> None:
        wish = Ask("use a tool", chat="c", tools=("slow",), find_tool=finder(slow))
        await stop_at(session.prepare(wish), lambda seen: isinstance(seen, event))

    run(session, cell())
    assert roles(session) == TURN[:3]
    (told,) = session.chats["c"][2].content
    assert isinstance(told, ToolResult)
    assert result in told.content
    assert ask(session, "go on", chat="c").text


@pytest.mark.parametrize("options", [{"tools": ("clock",)}, {"output": output_type(City)}])
def test_a_stopped_turn_without_calls(sim: Simulator, options: dict[str, Any]) -> None:
    """Stopped before any tool ran, a turn leaves no trace."""
    session = Session()
    ask(session, "good", chat="c")
    before = session.chats["c"]
    sim.script(Reply(text="word " * 300, delay_s=0.01))

    async def cell() -> None:
        turn = session.prepare(Ask("bad", chat="c", **options, **TOOLS))
        await stop_at(turn, lambda _: bool(turn.reply.text))

    run(session, cell())
    assert session.chats["c"] == before


def test_a_failed_turn_with_calls(sim: Simulator) -> None:
    """When the answer after the calls fails, what the tools did is kept all the same."""
    write("retry: {max_attempts: 1}")
    session = Session()
    sim.script(Reply(tool_calls=(Calls("clock", {}),)), Fail(code=1000))
    with pytest.raises(MinimaxError):
        ask(session, "when?", chat="c", tools=("clock",), **TOOLS)
    assert roles(session) == TURN[:3]
    assert ask(session, "go on", chat="c").text


def test_calls_that_nobody_asked_for(sim: Simulator) -> None:
    """A call in answer to a cell without tools has no result, so its turn is not kept."""
    session = Session()
    sim.script(Reply(tool_calls=(Calls("rm", {}),)))
    assert ask(session, chat="c").tool_calls
    assert session.chats == {}


@pytest.mark.parametrize("with_tools", [False, True])
def test_a_fork(sim: Simulator, with_tools: bool) -> None:
    """A fork begins with what the other chat has, which stays as it is. It needs a name, one that no
    chat has unless that begins anew; one of a chat that is not there is an error that names those that
    are."""
    tools: dict[str, Any] = {"tools": ("clock",), **TOOLS} if with_tools else {}
    session = Session()
    ask(session, "the clock", chat="a", **tools)
    before = session.chats["a"]
    ask(session, "again", chat="b", fork="a", **tools)
    assert session.chats["b"][: len(before)] == before
    assert len(whole_turns(session.chats["b"])) == 2
    for chat, words in ((None, "needs a name.*--chat"), ("b", "a chat b already.*--new")):
        with pytest.raises(ConfigError, match=words):
            session.prepare(Ask("again", fork="a", chat=chat))
    ask(session, "again", chat="b", fork="a", new=True, **tools)
    assert len(whole_turns(session.chats["b"])) == 2
    assert len(json.dumps(sim.requests[-1].body).split("again")) > 1
    assert session.chats["a"] == before
    with pytest.raises(ConfigError, match=r"no chat x.*a, b"):
        session.prepare(Ask("hi", chat="c", fork="x"))


def test_two_cells_of_one_chat_at_once(sim: Simulator) -> None:
    """A turn that ends while another one of its chat is under way is not lost, and a chat that was
    forgotten meanwhile does not come back."""
    session = Session()

    async def cells() -> None:
        await read(session.prepare(Ask("first", chat="c")))
        slow = session.prepare(Ask("slow", chat="c"))
        await read(session.prepare(Ask("quick", chat="c")))
        await read(slow)
        said = [turn[0].text for turn in whole_turns(session.chats["c"])]
        assert said == ["first", "quick", "slow"]
        late = session.prepare(Ask("late", chat="c"))
        session.chats.forget("c")
        await read(late)

    run(session, cells())
    assert "c" not in session.chats


def test_new(sim: Simulator) -> None:
    """`new` leaves a turn with calls behind; until there is an answer, the old chat stays."""
    session = Session()
    ask(session, "the clock", chat="c", tools=("clock",), **TOOLS)
    turn = session.prepare(Ask("new", chat="c", new=True))
    assert turn.number == 1
    assert roles(session) == TURN
    ask(session, "new", chat="c", new=True)
    assert roles(session) == ["user", "assistant"]


def test_a_repaired_answer(sim: Simulator) -> None:
    """A chat holds the valid answer alone: failed attempts in words, and what was said to them, are
    gone. The next turn of the chat is taken."""
    session = Session()
    reply = ask(session, "[[astext]] [[invalid 2]]", chat="c", output=output_type(City))
    assert isinstance(reply.value, City)
    assert len(sim.requests) == 3
    assert roles(session) == ["user", "assistant"]
    assert City.model_validate_json(re.search(r"\{.*\}", reply.text, re.DOTALL)[0]) == reply.value  # type: ignore[index]
    assert ask(session, "and now?", chat="c").text
    assert "wrong on purpose" not in json.dumps(sim.requests[-1].body)


def test_an_answer_as_a_call_is_kept_with_its_result(sim: Simulator) -> None:
    """An answer that came as a call is a whole turn, and an ordinary cell goes on with it."""
    session = Session()
    assert isinstance(ask(session, chat="c", output=output_type(City)).value, City)
    assert unpaired(session.chats["c"]) is None
    assert ask(session, "and now?", chat="c").text
    assert len(whole_turns(session.chats["c"])) == 2


@pytest.mark.parametrize("words", ["[[astext]] [[invalid 9]]", "[[thinkonly]]"])
def test_calls_without_an_answer(sim: Simulator, words: str) -> None:
    """Of a turn that came to no valid answer after its calls, or to none at all, the calls are kept, and
    no attempts. The chat goes on."""
    session = Session()
    wish = {"prompt": f"the clock {words}", "tools": ("clock",), "output": output_type(City)}
    with pytest.raises(OutputInvalid):
        ask(session, chat="c", **wish, **TOOLS)
    assert roles(session) == TURN[:3]
    assert session.prepare(Ask("go on", chat="c")).number == 2
    sim.script(Reply(tool_calls=(Calls("clock", {}),)), Reply(text="", finish_reason="length"))
    ask(session, "and now?", chat="c", tools=("clock",), **TOOLS)
    assert roles(session) == TURN[:3] * 2
    assert ask(session, "go on", chat="c").text


@pytest.mark.parametrize("words", ["[[invalid]]", "[[astext]] [[invalid]]"])
def test_an_answer_that_stays_invalid(sim: Simulator, words: str) -> None:
    """It is an error, and its turn leaves no trace in the chat."""
    session = Session()
    with pytest.raises(OutputInvalid):
        ask(session, words, chat="c", output=output_type(City), repair=0)
    assert session.chats == {}


# ---------------------------------------------------------------------------------- long chats


def long_chat(session: Session) -> None:
    """Three turns, each a good third of what M2.5 takes; the first with a call and its result."""
    call = ToolCall(id="c1", name="clock")
    filler = "word " * 55_000
    session.chats["c"] = [
        Message(role="user", content=f"FIRST {filler}"),  # type: ignore[arg-type]
        Message(role="assistant", content=(call,)),
        Message(role="tool", content=(ToolResult(tool_call_id="c1", content="12"),)),
        Message(role="assistant", content="noon"),  # type: ignore[arg-type]
        Message(role="user", content=f"SECOND {filler}"),  # type: ignore[arg-type]
        Message(role="assistant", content="yes"),  # type: ignore[arg-type]
        Message(role="user", content=f"THIRD {filler}"),  # type: ignore[arg-type]
        Message(role="assistant", content="no"),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("tools", [(), ("clock",)])
def test_a_chat_that_is_too_long(sim: Simulator, tools: tuple[str, ...]) -> None:
    """It is an error before sending that says by how much, and what to do. With `trim` whole turns go,
    a call never without its result, and the answer says how many."""
    session = Session()
    long_chat(session)
    before = session.chats["c"]
    wish: dict[str, Any] = {"chat": "c", "tools": tools, **TOOLS}
    with pytest.raises(
        ConfigError, match=r"chat c is about [\d,]+ tokens too long.*--trim"
    ) as error:
        session.prepare(Ask("go on", **wish))
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="too long"):
        session.preview(Ask("go on", **wish))
    assert sim.requests == []
    assert session.chats["c"] == before
    told = "the oldest turn of the chat was left out."
    shown = session.preview(Ask("go on", trim=True, **wish))
    assert told in shown.notices
    shown_more = session.preview(Ask("word " * 55_000, trim=True, **wish))
    assert "the 2 oldest turns of the chat were left out." in shown_more.notices
    assert "FIRST" not in shown.body
    reply = ask(session, "go on", trim=True, **wish)
    assert told in reply.warnings
    assert session.chats["c"][:4] == before[4:]
    assert len(whole_turns(session.chats["c"])) == 3
    (request,) = sim.requests
    assert "FIRST" not in json.dumps(request.body)


def test_a_loop_that_grows_too_long(sim: Simulator) -> None:
    """Results that no longer fit end the loop with an error before they are sent; what was done so far
    is kept."""
    session = Session()

    def book() -> str:
        """Much to read."""
        return "word " * 3_900

    session.chats["c"] = [Message(role="user", content="word " * 160_000)]  # type: ignore[arg-type]
    wish = Ask("[[steps 3]] book", chat="c", tools=("book",), find_tool=finder(book))

    async def cell() -> None:
        await read(session.prepare(wish))

    with pytest.raises(ConfigError, match=r"too many|too long"):
        run(session, cell())
    assert 1 <= len(sim.requests) <= 3
    assert unpaired(session.chats["c"]) is None
