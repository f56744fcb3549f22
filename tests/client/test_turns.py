"""Tools, images and structured output through the client, over both wires, streamed and whole."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import matplotlib.figure
import PIL.Image
import pytest
from pydantic import BaseModel
from simulated import BOTH_WAYS, BOTH_WIRES, Dialogue

from minimax_magic.client.conversation import with_tools
from minimax_magic.errors import ConfigError, OutputInvalid, RateLimitError, StreamInterrupted
from minimax_magic.events import CallBegun, CallEnded, Notice, StepBegun
from minimax_magic.images import image_block
from minimax_magic.messages import ChatRequest, Tool
from minimax_magic.pricing import cost
from minimax_magic.simulator import Drop, Fail, Reply, Simulator, ToolCall
from minimax_magic.simulator.answer import signature
from minimax_magic.structured import output_type
from minimax_magic.tools.functions import as_tool


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def sim(server: Simulator) -> Simulator:
    server.reset()
    return server


@pytest.fixture
def dialogue(sim: Simulator, wire: str, whole: bool) -> Dialogue:
    return Dialogue(sim, wire, whole)


pytestmark = [BOTH_WIRES, BOTH_WAYS]


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def population(city: str) -> int:
    """How many live in a city."""
    return 1_800_000


class Person(BaseModel):
    name: str
    age: int


# ------------------------------------------------------------------------------- tools


def test_tools_are_called_until_the_model_stops(dialogue: Dialogue) -> None:
    """Two rounds of calls, then an answer from what the last returned; the reply has all of it."""
    reply = dialogue.ask("[[steps 2]] Weather in Oslo", tools=[weather])
    assert "It rains in Oslo." in reply.text
    assert reply.finish_reason == "stop"
    assert len(dialogue.bodies) == 3
    assert [m.role for m in reply.messages] == ["assistant", "tool"] * 2 + ["assistant"]
    dialogue.go_on("Weather in Oslo", [*reply.messages])


def test_calls_of_a_turn_run_side_by_side_and_answer_in_one_message(dialogue: Dialogue) -> None:
    """Each result goes to its call, though the tools end in the other order."""
    met = asyncio.Event()

    async def first() -> str:
        await met.wait()
        return "one"

    async def second() -> str:
        met.set()
        return "two"

    events, _, error = dialogue.play("Use first and second", tools=[first, second])
    assert error is None
    ended = [event for event in events if isinstance(event, CallEnded)]
    assert [event.result for event in ended] == ["two", "one"]
    (one, two) = dialogue.calls()
    assert [one[1], two[1]] == ["first", "second"]
    assert dialogue.results() == [(one[0], "one"), (two[0], "two")]
    roles = [message["role"] for message in dialogue.sent()]
    many = ["tool", "tool"] if dialogue.wire == "openai" else ["user"]
    assert roles == ["user", "assistant", *many]


THOUGHT = "Erst „denken“,\n\n then <call> \\( x \\) … \U0001f914 "


def test_thinking_goes_back_as_it_came(dialogue: Dialogue) -> None:
    """To the letter, with its signature or details, before the text and the calls of its turn."""
    call = ToolCall("weather", {"city": "Oslo"}, id="call_1")
    dialogue.sim.script(Reply("I ask.", THOUGHT, (call,)))
    dialogue.ask("Go", tools=[weather])
    turn = dialogue.sent()[1]
    if dialogue.wire == "anthropic":
        assert turn["content"] == [
            {"type": "thinking", "thinking": THOUGHT, "signature": signature(THOUGHT)},
            {"type": "text", "text": "I ask."},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
        ]
        return
    detail = {
        "type": "reasoning.text",
        "id": "reasoning-text-1",
        "format": "MiniMax-response-v1",
        "index": 0,
        "text": THOUGHT,
    }
    function = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert turn == {
        "role": "assistant",
        "content": "I ask.",
        "reasoning_details": [detail],
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


@pytest.mark.parametrize("word", ["badargs", "badjson", "xml"])
def test_calls_that_came_wrong_are_mended(dialogue: Dialogue, word: str) -> None:
    """What is wrong goes back and the next call runs; a call written as text is a call at once."""
    events, stream, error = dialogue.play(f"[[{word}]] Weather in Oslo", tools=[weather])
    assert error is None
    ended = [event for event in events if isinstance(event, CallEnded)]
    # the whole form of the Anthropic wire has no place for broken JSON: it comes as no arguments
    assert [event.is_error for event in ended] == ([False] if word == "xml" else [True, False])
    assert len([event for event in events if isinstance(event, CallBegun)]) == 1
    assert dialogue.results()[0][1] == "It rains in Oslo."
    assert "It rains in Oslo." in stream.reply.text
    assert "<minimax:tool_call>" not in stream.reply.text


def test_an_unknown_tool_and_one_that_raises_are_told(dialogue: Dialogue) -> None:
    """The model gets both as errors, and can go on."""

    def broken() -> None:
        raise LookupError("no such row")

    dialogue.sim.script(Reply(tool_calls=(ToolCall("broken", {}), ToolCall("gone", {}))))
    reply = dialogue.ask("Go", tools=[broken])
    (_, raised), (_, unknown) = dialogue.results()
    assert "LookupError: no such row" in raised
    assert "no tool 'gone'" in unknown
    assert reply.finish_reason == "stop"
    if dialogue.wire == "anthropic":
        assert all(block["is_error"] for block in dialogue.sent()[-1]["content"])


def test_it_ends_at_max_steps(dialogue: Dialogue) -> None:
    """With a warning, and a history that can be sent."""
    reply = dialogue.ask("[[steps 9]] Weather in Oslo", tools=[weather], max_steps=2)
    assert len(dialogue.bodies) == 2
    assert "after 2 requests" in reply.warnings[-1]
    dialogue.go_on("Weather", [*reply.messages])


@pytest.mark.parametrize(
    ("option", "meant"),
    [("temprature", "temperature"), ("image", "images"), ("tool", "tools"), ("outputs", "output")],
)
def test_an_option_that_does_not_exist(dialogue: Dialogue, option: str, meant: str) -> None:
    """The error says which may be meant; with other options of a turn, too."""
    for more in ({}, {"tools": [weather]}):
        with pytest.raises(ConfigError) as caught:
            dialogue.ask("Hi", **more, **{option: 1})
        told = f"There is no option '{option}'. Did you mean {meant}? Nothing was sent."
        assert str(caught.value) == told
    with pytest.raises(ConfigError, match=r"There are: model, system, .*repair"):
        dialogue.ask("Hi", qqq=1)
    assert dialogue.bodies == []


def test_a_call_of_a_plain_tool_is_for_the_caller(dialogue: Dialogue) -> None:
    """Given as a `Tool` or as a dict, beside functions: nothing is run, and one request is made."""
    mine = Tool(name="mine", parameters={"type": "object", "properties": {}})
    for tool in (mine, {"name": "mine"}):
        dialogue.sim.reset()
        reply = dialogue.ask("Use mine", tools=[tool, weather])
        assert [call.name for call in reply.tool_calls] == ["mine"]
        assert reply.messages == (reply.message,)
        assert len(dialogue.bodies) == 1


def test_options_win_over_a_requests_tools(dialogue: Dialogue) -> None:
    """Functions take the place of its tools."""
    request = ChatRequest(messages="Hi", model="MiniMax-M3", tools=(Tool(name="mine"),))
    dialogue.ask(request, tools=[weather])
    dialogue.ask(request, max_steps=3)
    tools = [str(body["tools"]) for body in dialogue.bodies]
    assert ["weather" in tools[0], "mine" in tools[0], "mine" in tools[1]] == [True, False, True]


# --------------------------------------------------------------------- figures and errors


def test_figures_are_those_of_all_requests(dialogue: Dialogue) -> None:
    """Tokens, cost and what is booked equal what the simulator has served."""
    _, stream, _ = dialogue.play("[[steps 2]] Weather in Oslo", tools=[weather])
    served = dialogue.sim.served
    usage = stream.reply.usage
    assert usage is not None
    assert served.requests == 3
    of_simulator = (
        served.input_tokens,
        served.output_tokens,
        served.cache_read_tokens,
        served.cache_write_tokens,
    )
    assert of_simulator == (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    )
    assert stream.reply.cost == cost("MiniMax-M3", usage)
    booked = stream.booked
    assert booked is not None
    assert (booked.usage, booked.cost, booked.measured) == (usage, stream.reply.cost, True)


def test_a_second_request_that_is_refused(dialogue: Dialogue) -> None:
    """What there was is in the reply, the first request is counted, and the chat can go on."""
    call = ToolCall("weather", {"city": "Oslo"})
    dialogue.sim.script(Reply("I ask.", tool_calls=(call,)), *[Fail(429)] * 9)
    events, stream, error = dialogue.play("Go", tools=[weather])
    assert isinstance(error, RateLimitError)
    assert len([event for event in events if isinstance(event, StepBegun)]) == 1
    assert [m.role for m in stream.reply.turn] == ["assistant", "tool"]
    assert stream.reply.usage is not None
    assert stream.reply.usage.output_tokens == dialogue.sim.served.output_tokens
    assert stream.booked is not None
    assert stream.booked.usage == stream.reply.usage
    dialogue.sim.reset()
    dialogue.go_on("Go", [*stream.reply.turn])


def test_a_second_answer_that_is_lost(dialogue: Dialogue) -> None:
    """The error's partial reply is that of all requests; what is booked has all of them, too."""
    call = ToolCall("weather", {"city": "Oslo"})
    dialogue.sim.script(Reply("I ask.", "", (call,)), *[Drop(20, Reply("word " * 100, ""))] * 9)
    _, stream, error = dialogue.play("Go", tools=[weather])
    if not dialogue.whole:
        assert isinstance(error, StreamInterrupted)
        assert error.partial == stream.reply
        assert stream.reply.text.startswith("word word")
    assert error is not None
    assert [m.role for m in stream.reply.turn] == ["assistant", "tool"]
    assert stream.booked is not None
    assert not stream.booked.measured
    dialogue.sim.reset()
    dialogue.go_on("Go", [*stream.reply.turn])


@pytest.mark.parametrize("word", ["length", "thinkonly"])
def test_cut_and_empty_answers_say_what_to_do(dialogue: Dialogue, word: str) -> None:
    """Once in the warnings, and as the last event; with tools or without."""
    for options in ({}, {"tools": [weather]}):
        events, stream, error = dialogue.play(f"[[{word}]] Hi", **options)
        assert error is None
        (warning,) = stream.reply.warnings
        assert "max_tokens" in warning
        assert events[-1] == Notice(warning)
        reply = dialogue.ask(f"[[{word}]] Hi", **options)
        assert (reply.warnings, reply.finish_reason) == ((warning,), "length")
    assert dialogue.ask("Hi").warnings == ()


def test_calls_that_were_cut_off_are_told(dialogue: Dialogue) -> None:
    """The model may make them again; the person is told what prevents it, not that the answer is cut."""
    call = ToolCall("weather", '{"city": "Os')
    dialogue.sim.script(Reply("", "", (call,), finish_reason="length"))
    reply = dialogue.ask("Weather", tools=[weather])
    (warning,) = reply.warnings
    assert "while it called tools" in warning
    assert "max_tokens" in warning
    assert len(dialogue.bodies) == 2


# --------------------------------------------------------------------- structured output


@dataclass
class Point:
    x: int
    y: int


class Place(TypedDict):
    city: str
    people: int


@pytest.mark.parametrize("word", ["", "[[astext]]", "[[invalid 1]]", "[[astext]] [[invalid 2]]"])
def test_the_value_has_the_type_that_was_asked_for(dialogue: Dialogue, word: str) -> None:
    """By call or by text, at once or after being told what is wrong."""
    reply = dialogue.ask(f"{word} I met Ada, who is 36.", output=Person)
    assert reply.value == Person(name="Ada", age=36)
    wrong = {"": 0, "[[astext]]": 0, "[[invalid 1]]": 1}.get(word, 2)
    assert len(dialogue.bodies) == 1 + wrong
    assert reply.finish_reason in ("stop", "tool_calls")
    dialogue.go_on("Meet Ada", [*reply.messages])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Point, Point(3, 4)),
        (Place, {"city": "Oslo", "people": 3}),
        (list[Person], [Person(name="Ada", age=3)]),
        (int, 3),
    ],
    ids=["dataclass", "TypedDict", "list", "int"],
)
def test_any_type_that_pydantic_knows_may_be_asked_for(
    dialogue: Dialogue, kind: Any, value: Any
) -> None:
    for word in ("", "[[astext]]"):
        assert (
            dialogue.ask(f"{word} It is said that Ada has 3 or 4 in Oslo", output=kind).value
            == value
        )


@pytest.mark.parametrize("word", ["", "[[astext]] "])
def test_an_answer_that_is_never_valid(dialogue: Dialogue, word: str) -> None:
    """After two repairs it is an error that has the raw text, as has the reply."""
    prompt = f"{word}[[invalid 9]] I met Ada, who is 36."
    _, stream, error = dialogue.play(prompt, output=Person)
    assert isinstance(error, OutputInvalid)
    assert "allow more attempts with repair (`--repair`)" in error.hint
    assert len(dialogue.bodies) == 3
    assert stream.reply.text == error.text
    if not word:
        assert json.loads(error.text)["age"] == 36
    assert "36" in error.text
    assert stream.reply.usage is not None
    assert stream.reply.usage.output_tokens == dialogue.sim.served.output_tokens
    dialogue.go_on("Meet Ada", [*stream.reply.turn])


@pytest.mark.parametrize("word", ["length", "thinkonly"])
def test_a_cut_answer_is_an_error_at_once(dialogue: Dialogue, word: str) -> None:
    _, stream, error = dialogue.play(f"[[{word}]] Meet Ada", output=Person)
    assert isinstance(error, OutputInvalid)
    assert "max_tokens" in error.hint
    assert error.text == stream.reply.text
    assert len(dialogue.bodies) == 1


def test_output_and_tools_go_together(dialogue: Dialogue) -> None:
    """The tools that the prompt names are run first; a tool may have the name of ours."""

    def give_answer(city: str) -> str:
        """Something else."""
        return "no"

    prompt = "The weather and population in Oslo: 36"
    reply = dialogue.ask(prompt, tools=[weather, population], output=Place)
    assert reply.value == {"city": "Oslo", "people": 36}
    assert [m.role for m in reply.messages] == ["assistant", "tool"] * 2
    assert [result for _, result in dialogue.results()] == ["It rains in Oslo.", "1800000"]
    dialogue.play("[[length]] Hi", tools=[give_answer], output=int)
    names = [str(tool.get("function", tool)["name"]) for tool in dialogue.bodies[-1]["tools"]]
    assert names == ["give_answer", "give_answer_2"]


def test_a_tool_that_is_called_like_the_one_of_the_answer(dialogue: Dialogue) -> None:
    """Whoever made the answer's type without knowing the tools is told the name, and nothing is sent."""
    function = as_tool(weather, name="give_answer")
    request = ChatRequest(messages="Hi")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^The tool 'give_answer' is called like"):
        with_tools(request, [function], output_type(int))
    with pytest.raises(ConfigError, match="'give_answer'"):
        with_tools(request.model_copy(update={"tools": (function.spec,)}), [], output_type(int))
    assert dialogue.bodies == []


def test_thinking_without_an_answer_can_be_repaired(dialogue: Dialogue) -> None:
    """The empty turn, which the server would refuse, is not sent back."""
    dialogue.sim.script(Reply("", "Hm.", finish_reason="stop"))
    reply = dialogue.ask("I met Ada, who is 36.", output=Person)
    assert reply.value is not None
    assert len(dialogue.bodies) == 2


# --------------------------------------------------------------------------------- images


def png(size: tuple[int, int] = (3, 2)) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, (200, 10, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_arrive_as_they_are(dialogue: Dialogue, tmp_path: Path) -> None:
    """Files and bytes byte for byte, pictures and figures as PNG of their size, before the text."""
    (tmp_path / "plot.png").write_bytes(png())
    figure = matplotlib.figure.Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    picture = PIL.Image.new("RGB", (5, 7), (1, 2, 3))
    given = [str(tmp_path / "plot.png"), png((4, 4)), picture, figure]
    reply = dialogue.ask("What is this?", images=given)
    seen = dialogue.sim.images
    assert [image.data for image in seen[:2]] == [png(), png((4, 4))]
    assert [image.media_type for image in seen] == ["image/png"] * 4
    for image in seen[2:]:
        assert image.data is not None
    arrived = PIL.Image.open(io.BytesIO(seen[2].data or b""))
    assert (arrived.size, arrived.getpixel((0, 0))) == ((5, 7), (1, 2, 3))
    drawn = image_block(figure, name="figure").data
    assert drawn is not None
    assert seen[3].data == base64.b64decode(drawn)
    kinds = [block["type"] for block in dialogue.sent()[0]["content"]]
    assert kinds[-1] == "text"
    assert str(seen[3]) in reply.text  # the model has seen the same bytes


def test_a_model_that_sees_nothing_is_not_asked(dialogue: Dialogue) -> None:
    """M2 gets no images: the error names who takes them, and nothing is read or sent."""
    with pytest.raises(ConfigError, match=r"MiniMax-M2\.7 does not take images.*MiniMax-M3"):
        dialogue.ask("What is this?", model="MiniMax-M2.7", images=[png(), "missing.png"])
    with pytest.raises(ConfigError, match=r"^The image 2 \(missing\.png\) does not exist"):
        dialogue.ask("What is this?", images=[png(), "missing.png"])
    assert dialogue.bodies == []


def test_images_stay_while_tools_are_called(dialogue: Dialogue) -> None:
    """Each request of the turn has them once."""
    dialogue.ask("Weather in Oslo, use a tool", tools=[weather], images=[png()])
    assert [len(received.images) for received in dialogue.sim.requests] == [1, 1]
