"""The order of the client's parts, and what a caller gets of an answer that fails."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

import pytest
from IPython.core.ultratb import VerboseTB

from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConfigError,
    CredentialInvalid,
    LoginExpired,
    MinimaxError,
    ProtocolError,
    RateLimitError,
    RequestRejected,
    ServerError,
    StreamInterrupted,
)
from minimax_magic.events import Finished, Notice, RetryScheduled, Started, TextDelta, UsageUpdate
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ChatRequest
from minimax_magic.testing import (
    Answer,
    FakeAuth,
    FakeClock,
    FakeTransport,
    json_answer,
    sse,
    sse_answer,
)
from minimax_magic.tokens import TokenUsage
from minimax_magic.transport import AiohttpTransport
from minimax_magic.wire.address import resolve_endpoint
from minimax_magic.wire.failures import error_from_response
from minimax_magic.wire.http import HttpRequest

T = TypeVar("T")
KEY = "sk-cp-0123456789-topsecret"
REFUSED_KEY = json_answer({"error": {"message": "invalid api key (2049)"}}, status=401)
LIMITED = json_answer({"error": {"message": "rate limit (1002)"}}, status=429)
NO_ROUTE = Answer(404, {"content-type": "text/html"}, (b"<html>404 Not Found</html>",))

# both wires: the base_url, then frames that mean the same
OPENAI, ANTHROPIC = "https://api.minimax.io", "https://api.minimax.io/anthropic"
STARTS = {
    OPENAI: sse({"id": "r1", "model": "M", "choices": [{"delta": {"role": "assistant"}}]}),
    ANTHROPIC: sse(
        {
            "type": "message_start",
            "message": {"id": "r1", "model": "M", "usage": {"input_tokens": 7}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
    ),
}
BOTH_WIRES = pytest.mark.parametrize("base_url", [OPENAI, ANTHROPIC])


def text_frame(base_url: str, text: str) -> bytes:
    if base_url == OPENAI:
        return sse({"choices": [{"delta": {"content": text}}]})
    delta = {"type": "text_delta", "text": text}
    return sse({"type": "content_block_delta", "index": 0, "delta": delta})


def end_frames(base_url: str) -> bytes:
    if base_url == OPENAI:
        return sse({"choices": [{"delta": {}, "finish_reason": "stop"}]}, "[DONE]")
    return sse(
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )


def error_frame(message: str) -> bytes:
    return sse({"type": "error", "error": {"message": message}})


def whole(text: str = "Hello", **more: Any) -> Answer:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json_answer({"id": "r1", "model": "MiniMax-M2.5", "choices": [choice], **more})


def streamed(*texts: str) -> Answer:
    return sse_answer(
        STARTS[OPENAI], *(text_frame(OPENAI, text) for text in texts), end_frames(OPENAI)
    )


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def make(transport: Any, auth: Any = None, base_url: str = OPENAI, **more: Any) -> Client:
    parts: dict[str, Any] = {
        "endpoint": resolve_endpoint(base_url),
        "auth": auth or FakeAuth(KEY),
        "transport": transport,
        "limiter": NoLimit(),
        "clock": FakeClock(),
        "model": "MiniMax-M2.5",
        "user_agent": "test",
        "uniform": lambda: 0.0,
    }
    return Client(**{**parts, **more})


async def collect(client: Client, prompt: Any = "Hi", **options: Any) -> list[Any]:
    async with client.stream(prompt, **options) as stream:
        return [event async for event in stream]


async def fail(client: Client, **options: Any) -> MinimaxError:
    """The error that a stream ends in."""
    with pytest.raises(MinimaxError) as caught:
        await collect(client, **options)
    return caught.value


async def interrupt(client: Client, **options: Any) -> StreamInterrupted:
    error = await fail(client, **options)
    assert isinstance(error, StreamInterrupted)
    return error


# ------------------------------------------------------------------------- the plain way


def test_chat_sends_one_request_and_gives_the_reply() -> None:
    """A prompt goes out with the bearer as one POST, and the answer comes back priced."""
    transport = FakeTransport(
        whole("Hello", usage={"prompt_tokens": 1000, "completion_tokens": 10})
    )
    reply = run(make(transport, group_id="g1").chat("Hi", temperature=0.5))
    assert (reply.text, reply.finish_reason, reply.request_id) == ("Hello", "stop", "r1")
    assert reply.usage == TokenUsage(input_tokens=1000, output_tokens=10)
    assert reply.cost is not None
    [request] = transport.sent
    assert (request.method, request.url) == ("POST", f"{OPENAI}/v1/text/chatcompletion_v2")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["X-MiniMax-Group-Id"] == "g1"
    assert transport.bodies[0]["temperature"] == 0.5
    assert "stream" not in transport.bodies[0]


@BOTH_WIRES
def test_a_stream_gives_events_as_they_come(base_url: str) -> None:
    """Events follow the network reads, and `reply` holds what has been given out so far."""
    transport = FakeTransport(
        sse_answer(
            STARTS[base_url],
            text_frame(base_url, "Hel"),
            text_frame(base_url, "lo"),
            end_frames(base_url),
        )
    )

    async def go() -> list[str]:
        seen = []
        async with make(transport, base_url=base_url).stream("Hi") as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    seen.append(stream.reply.text)
        assert stream.reply.finish_reason == "stop"
        return seen

    assert run(go()) == ["Hel", "Hello"]
    assert transport.bodies[0]["stream"] is True


def test_reply_is_not_ahead_of_the_events() -> None:
    """Of several events in one network read, `reply` only has those that were given out."""
    one_read = b"".join([STARTS[OPENAI], *(text_frame(OPENAI, t) for t in "abc")])
    transport = FakeTransport(sse_answer(one_read, end_frames(OPENAI)))

    async def go() -> list[str]:
        async with make(transport).stream("Hi") as stream:
            return [stream.reply.text async for event in stream if isinstance(event, TextDelta)]

    assert run(go()) == ["a", "ab", "abc"]


def test_a_request_object_is_sent_with_options_over_it() -> None:
    """Options given beside a `ChatRequest` win over its fields."""
    transport = FakeTransport(whole())
    request = ChatRequest(messages="Hi", model="MiniMax-M3", temperature=0.1)
    run(make(transport).chat(request, temperature=0.9))
    assert transport.bodies[0]["model"] == "MiniMax-M3"
    assert transport.bodies[0]["temperature"] == 0.9


def test_a_wrong_option_sends_nothing() -> None:
    """A value outside its range is a ConfigError before anything is sent."""
    transport = FakeTransport(whole())
    with pytest.raises(ConfigError, match="temperature"):
        run(make(transport).chat("Hi", temperature=5))
    assert transport.sent == []


def test_a_stream_request_may_be_answered_in_one_piece() -> None:
    """Plain JSON in place of a stream gives the same events, and `whole` asks for that."""
    for options in ({}, {"whole": True}):
        transport = FakeTransport(whole("Hello"))
        events = run(collect(make(transport), **options))
        assert [type(event) for event in events] == [Started, TextDelta, Finished]
        assert ("stream" in transport.bodies[0]) is not bool(options)


def test_an_answer_without_content_type_is_read_as_asked_for() -> None:
    """A missing content type is no fault: SSE for a stream, JSON for a whole answer."""
    stream = Answer(200, {}, streamed("Hello").body)
    assert TextDelta("Hello") in run(collect(make(FakeTransport(stream))))
    answer = Answer(200, {}, whole("Hello").body)
    assert run(make(FakeTransport(answer)).chat("Hi")).text == "Hello"


def test_any_2xx_is_an_answer() -> None:
    """Gateways that answer a POST with 201 are understood."""
    answer = whole("Hello")
    answer.status = 201
    assert run(make(FakeTransport(answer)).chat("Hi")).text == "Hello"


def test_notices_come_once_and_stay_in_the_reply() -> None:
    """What could not be sent as asked is said right after the start and kept as a warning."""
    client = make(FakeTransport(streamed("a", "b")))
    events = run(collect(client, tool_choice="any", tools=[{"name": "f"}]))
    assert [type(event) for event in events[:3]] == [Started, Notice, TextDelta]
    assert sum(isinstance(event, Notice) for event in events) == 1
    reply = run(make(FakeTransport(whole())).chat("Hi", tool_choice="any", tools=[{"name": "f"}]))
    assert len(reply.warnings) == 1


def test_silence_is_limited_by_what_is_asked_for() -> None:
    """A stream may pause for idle_timeout_s, a whole answer for longer; None means no limit."""

    async def silences(idle_timeout_s: float | None) -> list[float | None]:
        transport = FakeTransport(whole())
        client = make(transport, idle_timeout_s=idle_timeout_s)
        await collect(client)
        await client.chat("Hi")
        return [request.silence_s for request in transport.sent]

    stream_s, whole_s = run(silences(120.0))
    assert stream_s == 120.0
    assert whole_s is not None
    assert whole_s >= 1000
    assert run(silences(None)) == [None, None]


def test_closing_closes_the_transport() -> None:
    """`close`, and leaving `async with`, close the transport."""

    async def go() -> tuple[bool, bool]:
        by_hand, by_block = FakeTransport(whole()), FakeTransport(whole())
        await make(by_hand).close()
        async with make(by_block) as client:
            await client.chat("Hi")
        return by_hand.closed, by_block.closed

    assert run(go()) == (True, True)


# ------------------------------------------------------------- limiter, bearer, send: the order


class Log:
    """Limiter, credential and transport in one, noting who was asked when."""

    def __init__(self, *answers: Any, tokens: tuple[str, ...] = ("k1",)) -> None:
        self.calls: list[str] = []
        self._auth = FakeAuth(*tokens)
        self._transport = FakeTransport(*answers)

    async def acquire(self) -> None:
        self.calls.append("limiter")

    async def fresh_bearer(self) -> str:
        bearer = await self._auth.fresh_bearer()
        self.calls.append(f"bearer {bearer}")
        return bearer

    async def force_refresh(self, refused: str | None = None) -> bool:
        self.calls.append("refresh")
        return await self._auth.force_refresh(refused)

    def describe(self) -> str:
        return "log"

    async def send(self, request: HttpRequest) -> Answer:
        self.calls.append(f"send {request.url.removeprefix(OPENAI)}")
        return await self._transport.send(request)

    async def close(self) -> None:
        pass

    def client(self) -> Client:
        return make(self, self, limiter=self)


FIRST, SECOND = "/v1/text/chatcompletion_v2", "/v1/chat/completions"


def test_every_attempt_takes_a_slot_and_asks_for_the_bearer() -> None:
    """Limiter, then bearer, then send, for the first attempt and for every retry."""
    log = Log(LIMITED, whole())
    run(log.client().chat("Hi"))
    assert log.calls == ["limiter", "bearer k1", f"send {FIRST}"] * 2


def test_probing_a_route_takes_a_slot() -> None:
    """Looking for the route that exists counts as a request, too."""
    log = Log(NO_ROUTE, whole())
    run(log.client().chat("Hi"))
    once = ["limiter", "bearer k1"]
    assert log.calls == [*once, f"send {FIRST}", *once, f"send {SECOND}"]


def test_the_request_after_a_refresh_takes_a_slot_and_the_new_bearer() -> None:
    """A 401 leads to one refresh and one more request, in the ordinary order."""
    log = Log(REFUSED_KEY, whole(), tokens=("k1", "k2"))
    run(log.client().chat("Hi"))
    assert log.calls == [
        *["limiter", "bearer k1", f"send {FIRST}", "refresh"],
        *["limiter", "bearer k2", f"send {FIRST}"],
    ]


# ---------------------------------------------------------------------------- credentials


def test_a_refused_static_key_is_sent_once() -> None:
    """A 401 with a key that cannot be refreshed is final, and the hint names key and region."""
    transport, auth = FakeTransport(REFUSED_KEY), FakeAuth(KEY)
    error = run(fail(make(transport, auth)))
    assert isinstance(error, CredentialInvalid)
    assert (error.status, error.code) == (401, 2049)
    usual = error_from_response(401, {}, REFUSED_KEY.body[0], url=f"{OPENAI}{FIRST}", now=0)
    assert error.hint == usual.hint
    assert "region" in error.hint
    assert (auth.refreshes, len(transport.sent)) == (1, 1)


def test_a_second_401_after_a_refresh_is_credential_invalid() -> None:
    """The credential is refreshed once for a request; the next refusal is final, and is said to be
    one of a token that was just renewed."""
    transport, auth = FakeTransport(REFUSED_KEY), FakeAuth("k1", "k2", "k3")
    error = run(fail(make(transport, auth)))
    assert isinstance(error, CredentialInvalid)
    assert (auth.refreshes, len(transport.sent)) == (1, 2)
    assert (error.status, error.code) == (401, 2049)
    assert "although it was just renewed" in error.hint
    assert "log in again with `%minimax login`" in error.hint


def test_a_401_later_in_a_request_is_not_refreshed_twice() -> None:
    """Failures between two refusals do not earn a second refresh."""
    failed = json_answer({}, status=500)
    transport = FakeTransport(REFUSED_KEY, failed, REFUSED_KEY)
    auth = FakeAuth("k1", "k2", "k3")
    assert isinstance(run(fail(make(transport, auth))), CredentialInvalid)
    assert (auth.refreshes, len(transport.sent)) == (1, 3)


def test_every_request_may_refresh_again() -> None:
    """A refresh in one request takes nothing from the next."""
    transport = FakeTransport(REFUSED_KEY, whole(), REFUSED_KEY, whole())
    auth = FakeAuth("k1", "k2", "k3")
    client = make(transport, auth)

    async def go() -> None:
        await client.chat("Hi")
        await client.chat("Hi")

    run(go())
    assert auth.refreshes == 2


def test_the_request_after_a_refresh_is_no_attempt() -> None:
    """A 401 takes none of the five attempts of a rate limit."""
    clock = FakeClock()
    transport = FakeTransport(REFUSED_KEY, LIMITED)
    error = run(fail(make(transport, FakeAuth("k1", "k2"), clock=clock)))
    assert isinstance(error, RateLimitError)
    assert len(transport.sent) == 1 + 5
    assert clock.slept == [1, 2, 4, 8]


def test_a_refusal_inside_a_200_is_refreshed_too() -> None:
    """MiniMax says `1004` under HTTP 200 as well; it is a refusal all the same."""
    refusal = json_answer({"base_resp": {"status_code": 1004, "status_msg": "log in again"}})
    transport, auth = FakeTransport(refusal, whole("Hello")), FakeAuth("k1", "k2")
    assert run(make(transport, auth).chat("Hi")).text == "Hello"
    assert auth.refreshes == 1


def test_a_refresh_that_fails_is_reported_as_such() -> None:
    """What the credential's source raises reaches the caller unchanged."""

    class Expired(FakeAuth):
        async def force_refresh(self, refused: str | None = None) -> bool:
            raise LoginExpired("The login ran out.")

    error = run(fail(make(FakeTransport(REFUSED_KEY), Expired())))
    assert isinstance(error, LoginExpired)


class Ends(FakeAuth):
    """A login that gives its first token so often, and then says itself that it has ended."""

    def __init__(self, given: int) -> None:
        super().__init__("k1", "k2", "k3")
        self.given = given

    async def fresh_bearer(self) -> str:
        if self.given == 0:
            raise CredentialInvalid("The login has ended.", hint="Its own hint.")
        self.given -= 1
        return await super().fresh_bearer()


@pytest.mark.parametrize(
    ("answers", "refreshes"),
    [([], 0), ([LIMITED], 0), ([NO_ROUTE], 0), ([REFUSED_KEY], 1), ([REFUSED_KEY, LIMITED], 1)],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_login_that_ends_by_itself_is_not_refreshed(
    answers: list[Answer], refreshes: int, streamed: bool
) -> None:
    """No server refused it: what the source says is final and unchanged, also after a retry, another
    route, or a refresh for an earlier refusal."""
    transport, auth = FakeTransport(*answers, whole()), Ends(len(answers))
    client = make(transport, auth)
    with pytest.raises(CredentialInvalid) as caught:
        run(collect(client) if streamed else client.chat("Hi"))
    assert (caught.value.message, caught.value.hint) == ("The login has ended.", "Its own hint.")
    assert auth.refreshes == refreshes
    assert len(transport.sent) == len(answers)


# ---------------------------------------------------------------------------------- routes


def urls(transport: FakeTransport) -> list[str]:
    return [request.url.removeprefix(OPENAI) for request in transport.sent]


@pytest.mark.parametrize(
    "missing",
    [
        NO_ROUTE,
        Answer(404, {"content-type": "text/plain"}, (b"404 page not found",)),
        json_answer({"detail": "Not Found"}, status=404),
        Answer(404),
    ],
    ids=["nginx", "go", "fastapi", "empty"],
)
def test_a_missing_route_leads_to_the_next(missing: Answer) -> None:
    """A 404 of the web server, not of the API, means: try the next path."""
    transport = FakeTransport(missing, whole("Hello"))
    assert run(make(transport).chat("Hi")).text == "Hello"
    assert urls(transport) == [FIRST, SECOND]


def test_a_404_of_the_api_is_final() -> None:
    """A 404 that carries an API error, such as an unknown model, is raised at once."""
    unknown = json_answer({"error": {"message": "unknown model"}}, status=404)
    transport = FakeTransport(unknown)
    error = run(fail(make(transport)))
    assert isinstance(error, RequestRejected)
    assert urls(transport) == [FIRST]


def test_the_route_that_answered_is_remembered() -> None:
    """Later requests of the client go straight to it."""
    transport = FakeTransport(NO_ROUTE, whole())
    client = make(transport)

    async def go() -> None:
        await client.chat("Hi")
        await client.chat("Hi")

    run(go())
    assert urls(transport) == [FIRST, SECOND, SECOND]


def test_a_route_that_refuses_is_a_route() -> None:
    """A path that answers with an API error exists, so the retry does not look for it again."""
    transport = FakeTransport(NO_ROUTE, LIMITED, whole())
    run(make(transport).chat("Hi"))
    assert urls(transport) == [FIRST, SECOND, SECOND]


def test_no_route_at_all_names_the_first_and_starts_there_again() -> None:
    """If nothing is there, the error names the documented path, and the next request tries it."""
    transport = FakeTransport(NO_ROUTE, NO_ROUTE, NO_ROUTE, whole("Hello"))
    client = make(transport)

    async def go() -> tuple[MinimaxError, str]:
        return await fail(client), (await client.chat("Hi")).text

    error, text = run(go())
    assert isinstance(error, RequestRejected)
    assert f"{OPENAI}{FIRST}" in error.hint
    assert text == "Hello"
    assert urls(transport) == [FIRST, SECOND, "/text/chatcompletion_v2", FIRST]


def test_no_other_failure_moves_to_the_next_route() -> None:
    """Server errors and refusals stay on the path they came from."""
    for answer in (json_answer({}, status=500), json_answer({}, status=400), REFUSED_KEY):
        transport = FakeTransport(answer)
        run(fail(make(transport)))
        assert set(urls(transport)) == {FIRST}


# ---------------------------------------------------------------------------- stop strings


def test_a_stop_string_ends_the_answer_and_closes_the_connection() -> None:
    """Text up to the stop string is given, the rest is not read, and the connection is dropped."""
    read: list[int] = []

    class Counted(Answer):
        async def chunks(self) -> AsyncGenerator[bytes, None]:
            async for chunk in super().chunks():
                read.append(len(chunk))
                yield chunk

    answer = Counted(
        200, {"content-type": "text/event-stream"}, streamed("ab", "cSTO", "P", "d").body
    )
    client = make(FakeTransport(answer))

    async def go() -> Any:
        async with client.stream("Hi", stop=["STOP"]) as stream:
            events = [event async for event in stream]
            return events, stream.reply

    events, reply = run(go())
    assert (reply.text, reply.finish_reason) == ("abc", "stop")
    assert events[-1] == Finished("stop")
    assert answer.closed
    assert len(read) == 4


def test_a_stop_string_that_never_came_changes_nothing() -> None:
    """What was held back as its possible beginning is given at the end."""
    client = make(FakeTransport(streamed("a ST", "O")))
    events = run(collect(client, stop="STOP"))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "a STO"
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("broken", [True, False])
def test_held_back_text_is_not_lost_with_the_connection(broken: bool) -> None:
    """The beginning of a stop string counts as text if the stream ends there."""
    error = APIConnectionError("gone")
    pieces = [STARTS[OPENAI], text_frame(OPENAI, "a STO"), *([error] if broken else [])]
    caught = run(interrupt(make(FakeTransport(sse_answer(*pieces))), stop=["STOP"]))
    assert caught.partial.text == "a STO"
    assert caught.reason == ("disconnected" if broken else "truncated")


# ---------------------------------------------------- an answer that began and did not end

REASONS = {
    "timeout": [APITimeoutError("silent")],
    "disconnected": [APIConnectionError("gone")],
    "truncated": [],
    "server_error": [error_frame("unknown error (1000)")],
}


@BOTH_WIRES
@pytest.mark.parametrize("reason", REASONS)
def test_a_failure_after_text_keeps_the_text_and_is_not_retried(base_url: str, reason: str) -> None:
    """After the first piece of text every failure is StreamInterrupted, whatever its cause."""
    clock = FakeClock()
    pieces = (STARTS[base_url], text_frame(base_url, "Hel"), text_frame(base_url, "lo"))
    answer = sse_answer(*pieces, *REASONS[reason])
    transport = FakeTransport(answer)
    error = run(interrupt(make(transport, base_url=base_url, clock=clock)))
    assert error.reason == reason
    assert error.partial.text == "Hello"
    assert error.partial.finish_reason is None
    assert error.request_id == "r1"
    assert (len(transport.sent), clock.slept) == (1, [])
    assert answer.closed
    if reason == "server_error":
        assert error.code == 1000
        assert isinstance(error.__cause__, ServerError)
    else:
        assert error.__cause__ is (REASONS[reason][0] if REASONS[reason] else None)


def test_the_events_before_a_failure_in_the_same_read_are_given() -> None:
    """Text that arrives together with the error frame reaches the caller first."""
    frames = STARTS[OPENAI] + text_frame(OPENAI, "Hello") + error_frame("system error (1033)")
    transport = FakeTransport(sse_answer(frames))
    error = run(interrupt(make(transport)))
    assert error.partial.text == "Hello"
    assert len(transport.sent) == 1


@BOTH_WIRES
def test_a_stream_that_ends_before_any_text_is_not_sent_again(base_url: str) -> None:
    """The server took the request and may bill it; the tokens it counted are kept."""
    for reason in ("timeout", "disconnected", "truncated"):
        transport = FakeTransport(sse_answer(STARTS[base_url], *REASONS[reason]))
        error = run(interrupt(make(transport, base_url=base_url)))
        assert (error.reason, error.partial.text, len(transport.sent)) == (reason, "", 1)
        if base_url == ANTHROPIC:
            assert error.partial.usage == TokenUsage(input_tokens=7)


def test_a_whole_answer_that_breaks_off_is_interrupted() -> None:
    """The same holds for an answer in one piece whose body does not arrive."""
    body = whole().body[0]
    assert isinstance(body, bytes)
    answer = Answer(
        200, {"content-type": "application/json"}, (body[:9], APIConnectionError("gone"))
    )
    transport = FakeTransport(answer)
    with pytest.raises(StreamInterrupted) as caught:
        run(make(transport).chat("Hi"))
    assert (caught.value.reason, len(transport.sent)) == ("disconnected", 1)


@BOTH_WIRES
def test_a_line_that_breaks_after_the_last_word_is_no_failure(base_url: str) -> None:
    """Once the reason to finish came, only closing words are missing: that is an answer."""
    pieces = [STARTS[base_url], text_frame(base_url, "Hello")]
    pieces.append(end_frames(base_url).rpartition(b"data: ")[0])
    for failure in REASONS["timeout"] + REASONS["disconnected"] + REASONS["truncated"]:
        answer = sse_answer(*pieces, failure)
        events = run(collect(make(FakeTransport(answer), base_url=base_url)))
        assert events[-1] == Finished("stop")


def test_what_follows_the_end_of_an_answer_cannot_spoil_it() -> None:
    """After `[DONE]` the rest is read for the connection's sake only."""
    answer = streamed("Hello")
    answer.body = (*answer.body, b"junk", APIConnectionError("gone"))
    assert run(collect(make(FakeTransport(answer))))[-1] == Finished("stop")


def test_half_a_tool_call_is_left_out_of_the_partial_answer() -> None:
    """A call cut off in its arguments must not look like one to be made."""
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}
    frame = sse({"choices": [{"delta": {"tool_calls": [call]}}]})
    error = run(interrupt(make(FakeTransport(sse_answer(STARTS[OPENAI], frame)))))
    assert error.partial.tool_calls == ()


def test_a_page_in_place_of_an_answer_is_a_protocol_error() -> None:
    """HTML under HTTP 200, such as a login page, is shown in part and not tried again."""
    page = Answer(200, {"content-type": "text/html"}, (b"<html>Please log in</html>",))
    for stream in (True, False):
        transport = FakeTransport(page)
        client = make(transport)
        with pytest.raises(ProtocolError, match="Please log in"):
            run(collect(client) if stream else client.chat("Hi"))  # type: ignore[arg-type]
        assert len(transport.sent) == 1


# -------------------------------------------------------------------------- error statuses


def test_a_refusal_whose_body_breaks_off_counts_by_its_status() -> None:
    """The status alone says enough: it is neither a connection failure nor lost."""
    broken = Answer(400, {}, (b'{"error": {"mess', APIConnectionError("gone")))
    transport = FakeTransport(broken)
    error = run(fail(make(transport)))
    assert isinstance(error, RequestRejected)
    assert (error.status, len(transport.sent)) == (400, 1)


def test_an_endless_refusal_is_not_read_to_its_end() -> None:
    """The body of an error is read up to a limit."""
    read = 0

    class Endless(Answer):
        async def chunks(self) -> AsyncGenerator[bytes, None]:
            nonlocal read
            while True:
                read += 1
                yield b"x" * 100_000

    answer = Endless(400, {"content-type": "text/plain"})
    error = run(fail(make(FakeTransport(answer))))
    assert isinstance(error, APIError)
    assert len(error.body) < 1000
    assert read < 20
    assert answer.closed


def test_every_answer_is_closed() -> None:
    """Refusals, retried ones included, hold no connection."""
    limited, good = json_answer({}, status=429), whole()
    run(make(FakeTransport(limited, good)).chat("Hi"))
    assert (limited.closed, good.closed) == (True, True)


# ------------------------------------------------------------------------- leaving early


def test_leaving_the_block_closes_the_connection() -> None:
    """`break` inside `async with` drops the answer at once, also without having read any of it."""
    answer = streamed("a", "b", "c")

    async def go() -> str:
        async with make(FakeTransport(answer)).stream("Hi") as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
            assert not answer.closed
        assert answer.closed
        return stream.reply.text

    assert run(go()) == "a"


def test_a_stream_that_is_never_read_sends_nothing() -> None:
    """The request goes out with the first step of the loop."""
    transport = FakeTransport(whole())

    async def go() -> None:
        async with make(transport).stream("Hi"):
            pass

    run(go())
    assert transport.sent == []


class Hanging:
    """A transport whose answer never comes, or whose body never goes on."""

    def __init__(self, *pieces: bytes, head: bool = True) -> None:
        self.reached = asyncio.Event()
        self.closed = False
        self.status, self.headers = 200, {"content-type": "text/event-stream"}
        self._pieces, self._head = pieces, head

    async def send(self, request: HttpRequest) -> Any:
        if not self._head:
            await self._hang()
        return self

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for piece in self._pieces:
            yield piece
        await self._hang()

    async def read(self) -> bytes:
        await self._hang()
        return b""

    async def _hang(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()

    def close(self) -> None:
        self.closed = True


async def cancelled(client: Client, hanging: Hanging) -> asyncio.CancelledError:
    task = asyncio.create_task(collect(client))
    await hanging.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


def test_cancelling_closes_the_connection() -> None:
    """A cancelled request lets go of its answer before the cancellation comes back."""

    async def go() -> bool:
        hanging = Hanging(STARTS[OPENAI], text_frame(OPENAI, "a"))
        await cancelled(make(hanging), hanging)
        return hanging.closed

    assert run(go())


def test_cancelling_is_not_turned_into_an_error_of_ours() -> None:
    """A caller's own timeout stays its own, with the wait for an answer as with the pause in one."""

    async def go(hanging: Hanging) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collect(make(hanging)), 0.01)

    async def both() -> None:
        await go(Hanging(head=False))
        await go(Hanging(STARTS[OPENAI]))

    run(both())


def test_a_client_goes_on_after_a_cancelled_request() -> None:
    """Nothing of a cancelled request stands in the way of the next."""

    async def go() -> str:
        hanging = Hanging(head=False)
        client = make(hanging)
        await cancelled(client, hanging)
        client._transport = FakeTransport(whole("Hello"))
        return (await client.chat("Hi")).text

    assert run(go()) == "Hello"


# ------------------------------------------------------------------------------- retries


def test_a_retry_is_announced_before_the_wait() -> None:
    """The stream says what failed, how long it waits and which attempt is next."""
    clock = FakeClock()
    client = make(FakeTransport(LIMITED, streamed("Hello")), clock=clock)

    async def go() -> tuple[RetryScheduled, list[float]]:
        async with client.stream("Hi") as stream:
            async for event in stream:
                assert isinstance(event, RetryScheduled)
                return event, list(clock.slept)
        raise AssertionError

    event, slept = run(go())
    assert (event.wait_s, event.attempt, slept) == (1.0, 2, [])
    assert "rate limit" in event.reason


def test_a_retried_request_leaves_no_trace_in_the_reply() -> None:
    """Starts of attempts that failed are not given out, so nothing comes twice."""
    started = sse_answer(STARTS[ANTHROPIC], error_frame("overloaded (1000)"))
    good = sse_answer(STARTS[ANTHROPIC], text_frame(ANTHROPIC, "Hello"), end_frames(ANTHROPIC))
    events = run(collect(make(FakeTransport(started, good), base_url=ANTHROPIC)))
    kinds = [type(event) for event in events]
    assert kinds == [RetryScheduled, Started, UsageUpdate, TextDelta, Finished]


# ----------------------------------------------------------------------- secrets stay secret


def shown(error: BaseException) -> str:
    """All that a notebook could show of an error: `%xmode Verbose` prints variables, too."""
    verbose = VerboseTB(theme_name="nocolor", include_vars=True)
    parts = ["\n".join(verbose.structured_traceback(type(error), error, error.__traceback__))]
    parts += traceback.format_exception(error)
    link: BaseException | None = error
    while link is not None:
        parts += [repr(link), str(link), repr(vars(link))]
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_code.co_filename != __file__:
                parts.append(repr(frame.f_locals))
        link = link.__cause__ or link.__context__
    return "\n".join(parts)


def test_what_is_shown_of_an_error_includes_variables() -> None:
    """The check that the tests below lean on does see the variables of a frame."""

    def leaky() -> None:
        secret = "sk-" + "visible"
        raise ValueError(len(secret))

    with pytest.raises(ValueError) as caught:
        leaky()
    assert "sk-visible" in shown(caught.value)


def test_a_refused_connection_does_not_show_the_key(unused_tcp_port: int) -> None:
    """No traceback of a failed connection holds the key, not even with variables."""

    async def go() -> BaseException:
        base_url = f"http://127.0.0.1:{unused_tcp_port}"
        async with make(AiohttpTransport(), base_url=base_url) as client:
            return await fail(client)

    error = run(go())
    assert isinstance(error, APIConnectionError)
    assert KEY not in shown(error)


@pytest.mark.parametrize("key", [KEY, "plain-secret-without-a-shape"])
def test_a_401_that_echoes_the_key_does_not_show_it(key: str) -> None:
    """Words of the server are masked wherever they end up, variables included."""
    says = {"error": {"message": f"invalid api key: {key} (2049)"}, "you_sent": f"Bearer {key}"}
    for status in (401, 400, 500):
        answer = json_answer(says, status=status)
        error = run(fail(make(FakeTransport(answer), FakeAuth(key))))
        assert "***" in str(error)
        assert key not in shown(error)


def test_an_error_inside_a_stream_does_not_show_the_key() -> None:
    """The same holds for error frames, for broken frames and for pages in place of an answer."""
    key = "plain-secret-without-a-shape"
    html = Answer(200, {"content-type": "text/html"}, (f"<p>{key}</p>".encode(),))
    answers = [
        sse_answer(error_frame(f"bad key {key} (1004)")),
        sse_answer(STARTS[OPENAI], text_frame(OPENAI, "a"), error_frame(f"bad key {key}")),
        sse_answer(sse(f"no json, {key}")),
        html,
    ]
    for answer in answers:
        assert key not in shown(run(fail(make(FakeTransport(answer), FakeAuth(key)))))


def test_a_cancelled_request_does_not_show_the_key(unused_tcp_port: int) -> None:
    """The traceback of a cancellation passes through the HTTP library without showing the key."""

    async def go() -> BaseException:
        accepted = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            accepted.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", unused_tcp_port)
        base_url = f"http://127.0.0.1:{unused_tcp_port}"
        async with server, make(AiohttpTransport(), base_url=base_url) as client:
            task = asyncio.create_task(client.chat("Hi"))
            await accepted.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value

    assert KEY not in shown(run(go()))


def test_an_answer_that_is_no_http_does_not_show_the_key(unused_tcp_port: int) -> None:
    """Errors of the HTTP library may hold the request; what is chained to ours does not."""

    async def go() -> BaseException:
        async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"NONSENSE\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(rude, "127.0.0.1", unused_tcp_port)
        base_url = f"http://127.0.0.1:{unused_tcp_port}"
        async with server, make(AiohttpTransport(), base_url=base_url) as client:
            return await fail(client)

    error = run(go())
    assert isinstance(error, APIConnectionError)
    assert KEY not in shown(error)


def test_client_request_and_answer_do_not_show_the_key() -> None:
    """Neither the client nor what it sends has the key in its repr."""
    transport = FakeTransport(whole())
    client = make(transport)
    run(client.chat("Hi"))
    for thing in (client, vars(client), transport.sent[0], dict(transport.sent[0].headers)):
        assert KEY not in repr(thing)
    assert isinstance(transport.sent[0].headers["Authorization"], MaskedStr)


@pytest.fixture
def unused_tcp_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
