"""The simulator as a server: who may ask, what is kept, how it starts and stops."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from minimax_magic.simulator import (
    Drop,
    Fail,
    FailMidStream,
    Frames,
    Raw,
    Reply,
    Served,
    Silence,
    Simulator,
    Usage,
)

PATHS = ("/anthropic/v1/messages", "/v1/chat/completions", "/v1/text/chatcompletion_v2")
ALL_PATHS = pytest.mark.parametrize("path", PATHS)
HI = {"model": "MiniMax-M2.5", "messages": [{"role": "user", "content": "Hi"}]}


@ALL_PATHS
def test_every_answer_is_marked(http_client: Any, path: str) -> None:
    """Answers, refusals and unknown routes all say that they are simulated."""
    answers = [
        http_client.chat("Hi", path),
        http_client.chat("Hi", path, stream=True),
        http_client.post(path, {}),
        http_client.ask("GET", "/nowhere"),
    ]
    for got in answers:
        assert got.headers["Server"] == "minimax-simulator"
        assert got.headers["X-MiniMax-Simulated"] == "1"


@ALL_PATHS
def test_a_wrong_key_gets_2049_and_none_gets_1004(http_client: Any, path: str) -> None:
    """Any other bearer is an invalid key; none at all is a failed login."""
    wrong = http_client.post(path, HI, key="other")
    assert wrong.status == 401
    assert wrong.json["error"] == {
        "type": "authorized_error",
        "message": "invalid api key (2049)",
        "http_code": "401",
    }
    assert len(wrong.json["request_id"]) == 32
    missing = http_client.post(path, HI, key=None)
    assert missing.status == 401
    assert missing.json["error"]["message"] == (
        "login fail: Please carry the API secret key in the 'Authorization' field of the request "
        "header (1004)"
    )


def test_the_key_is_checked_before_the_body(http_client: Any) -> None:
    """An empty model tells a good key from a bad one without spending a token."""
    assert http_client.post(PATHS[0], {"model": ""}, key="other").status == 401
    assert http_client.post(PATHS[0], {"model": ""}).status == 400


def test_x_api_key_alone_is_refused_unless_allowed() -> None:
    """MiniMax has refused clients that send only X-Api-Key; a switch makes it accept them."""
    for allowed, status in ((False, 401), (True, 200)):
        with Simulator(accept_x_api_key=allowed) as sim:
            connection = http.client.HTTPConnection(sim.url.removeprefix("http://"))
            headers = {"X-Api-Key": sim.key}
            connection.request("POST", PATHS[0], json.dumps(HI), headers)
            assert connection.getresponse().status == status
            connection.close()


def test_the_key_can_change_while_it_runs(sim: Simulator, http_client: Any) -> None:
    """A test can let a token expire."""
    sim.key = "second"
    assert http_client.post(PATHS[0], HI).status == 401
    assert http_client.post(PATHS[0], HI, key="second").status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/v1/messages"),
        ("POST", "/anthropic/v1/chat/completions"),
        ("POST", "/text/chatcompletion_v2"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("GET", "/"),
    ],
)
def test_an_unknown_route_gets_nginx_page(http_client: Any, method: str, path: str) -> None:
    """A wrong path or method is answered with HTML and 404, never with JSON."""
    got = http_client.ask(method, path)
    assert got.status == 404
    assert got.headers["Content-Type"] == "text/html"
    assert b"<center>nginx</center>" in got.body


def test_models_come_in_openai_shape(http_client: Any) -> None:
    """The list, one of it, and the refusal of an unknown one; a key is needed."""
    listed = http_client.ask("GET", "/v1/models").json
    assert listed["object"] == "list"
    assert "MiniMax-M2.5" in [model["id"] for model in listed["data"]]
    one = http_client.ask("GET", "/v1/models/MiniMax-M3").json
    assert one["id"] == "MiniMax-M3"
    assert "simulated" in one["owned_by"]
    assert http_client.ask("GET", "/v1/models/nope").status == 404
    assert http_client.ask("GET", "/v1/models", key=None).status == 401


def test_a_request_is_kept_as_it_arrived(sim: Simulator, http_client: Any) -> None:
    """Method, path, query, headers with the key, decoded body, time of arrival."""
    before = time.monotonic()
    http_client.post(PATHS[1] + "?GroupId=7", HI)
    (kept,) = sim.requests
    assert (kept.method, kept.path, kept.query) == ("POST", PATHS[1], "GroupId=7")
    assert kept.headers["authorization"] == "Bearer simulated-key"
    assert kept.body == HI
    assert before <= kept.arrived_at <= time.monotonic()
    assert kept.chunks_sent == 1
    assert not kept.closed_early
    assert "simulated-key" not in repr(kept)


@ALL_PATHS
def test_a_body_that_is_not_json_is_400(sim: Simulator, http_client: Any, path: str) -> None:
    """Broken JSON is refused with 2013 and kept as None."""
    got = http_client.ask("POST", path, b"{oops")
    assert got.status == 400
    assert got.json["error"]["message"].endswith("(2013)")
    assert sim.requests[0].body is None


def test_the_script_comes_first_in_its_order(sim: Simulator, http_client: Any) -> None:
    """Scripted behaviours answer the next requests one by one, then the default returns."""
    sim.script(Fail(code=1002, retry_after="1"), Raw(418, "text/plain", "tea"), Reply("three"))
    first = http_client.chat("Hi")
    assert (first.status, first.headers["Retry-After"]) == (429, "1")
    assert first.json["error"]["message"] == "rate limit exceeded (RPM) (1002)"
    second = http_client.chat("Hi")
    assert (second.status, second.body) == (418, b"tea")
    assert http_client.chat("Hi").json["choices"][0]["message"]["content"].endswith("three")
    assert "simulated" in http_client.chat("Hi").json["choices"][0]["message"]["content"]


def test_a_malformed_request_leaves_the_script_alone(sim: Simulator, http_client: Any) -> None:
    """Validation comes before the script, so that a script cannot hide a bad request."""
    sim.script(Reply("kept"))
    assert http_client.post(PATHS[1], {"model": "MiniMax-M3"}).status == 400
    assert http_client.chat("Hi").json["choices"][0]["message"]["content"].endswith("kept")


def test_frames_are_sent_byte_for_byte(sim: Simulator, http_client: Any) -> None:
    """Scripted chunks arrive joined and unchanged, whatever they hold."""
    chunks = (b"data: {", b"}\r\n\r\n", b"\xff\xfe")
    sim.script(Frames(chunks))
    got = http_client.chat("Hi", stream=True)
    assert got.body == b"".join(chunks)
    assert got.headers["Content-Type"] == "text/event-stream"
    assert sim.requests[0].chunks_sent == 3


def test_a_fail_with_status_200_has_base_resp(sim: Simulator, http_client: Any) -> None:
    """The older error is JSON under HTTP 200, also where a stream was asked for."""
    sim.script(Fail(200, 1008))
    got = http_client.chat("Hi", stream=True)
    assert (got.status, got.headers["Content-Type"]) == (200, "application/json")
    assert got.json["base_resp"] == {"status_code": 1008, "status_msg": "insufficient balance"}
    assert got.json["choices"] is None


def test_2056_says_when_it_resets(sim: Simulator, http_client: Any) -> None:
    """The plan's window is 429 with an ISO time in the message: a given one, or that at which the
    account says that the window ends. Both name one plan."""
    sim.script(Fail(code=2056, resets_at="2026-05-15T15:00:00Z"), Fail(code=2056))
    given = http_client.chat("Hi")
    assert given.status == 429
    assert given.json["error"]["message"].endswith("resets at 2026-05-15T15:00:00Z (2056)")
    said = http_client.chat("Hi").json["error"]["message"]
    left = http_client.ask("GET", "/v1/token_plan/remains").json
    end = datetime.fromtimestamp(left["model_remains"][0]["end_time"] / 1000, UTC)
    assert f"resets at {end:%Y-%m-%dT%H:%M:%SZ}" in said
    assert left["current_subscribe_title"].removesuffix(" (simulated)") in said


def test_529_has_no_code_and_no_http_code(sim: Simulator, http_client: Any) -> None:
    """Overload is told as it was recorded."""
    sim.script(Fail(529))
    got = http_client.chat("Hi")
    assert got.status == 529
    assert got.json["error"] == {
        "type": "overloaded_error",
        "message": "Upstream model overloaded; retryable.",
    }


def _open_stream(http_client: Any, body: Any = HI) -> tuple[Any, http.client.HTTPResponse]:
    connection = http_client.connect()
    payload = json.dumps({**body, "stream": True})
    connection.request("POST", PATHS[1], payload, {"Authorization": "Bearer simulated-key"})
    return connection, connection.getresponse()


def test_a_client_that_leaves_is_noticed(sim: Simulator, http_client: Any) -> None:
    """Closing the connection in the middle sets closed_early and ends the answer."""
    sim.script(Reply("x" * 12_000, delay_s=0.01))
    connection, response = _open_stream(http_client)
    response.read(100)
    response.close()
    connection.close()
    assert sim.wait_for(lambda s: s.requests[0].closed_early)
    assert sim.requests[0].finished.wait(1)
    assert 0 < sim.requests[0].chunks_sent < 1000


def test_leaving_is_noticed_while_waiting_for_a_whole_answer(
    sim: Simulator, http_client: Any
) -> None:
    """Not streamed, a slow answer takes as long as its pieces would, and can be given up."""
    sim.script(Reply("x" * 120, delay_s=10.0))
    connection = http_client.connect()
    headers = {"Authorization": "Bearer simulated-key"}
    connection.request("POST", PATHS[1], json.dumps(HI), headers)
    assert sim.wait_for(lambda s: s.requests != [])
    connection.close()
    assert sim.wait_for(lambda s: s.requests[0].closed_early)


def test_a_finished_answer_is_not_closed_early(sim: Simulator, http_client: Any) -> None:
    """Closing after the end is what clients do."""
    http_client.chat("Hi", stream=True)
    assert sim.requests[0].finished.wait(1)
    assert not sim.requests[0].closed_early


@pytest.mark.parametrize("path", PATHS)
def test_drop_cuts_after_so_many_chunks(sim: Simulator, http_client: Any, path: str) -> None:
    """The body ends in the middle of its encoding, and it was not the client's doing."""
    sim.script(Drop(after_chunks=5))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        http_client.chat("Hi", path, stream=True)
    assert sim.requests[0].finished.wait(1)
    assert sim.requests[0].chunks_sent == 5
    assert not sim.requests[0].closed_early


@pytest.mark.parametrize("stream", [True, False])
def test_drop_at_0_comes_before_the_status_line(
    sim: Simulator, http_client: Any, stream: bool
) -> None:
    """The client sees a connection that was closed without an answer."""
    sim.script(Drop())
    with pytest.raises(ConnectionError):
        http_client.chat("Hi", stream=stream)


def test_a_clean_drop_ends_the_body_in_order(sim: Simulator, http_client: Any) -> None:
    """Only the missing end tells that the answer was cut."""
    sim.script(Drop(3, of=Reply("x" * 120, thinking=""), clean=True))
    got = http_client.chat("Hi", stream=True)
    assert len(got.frames) == 3
    assert got.frames[-1] != "[DONE]"


@pytest.mark.parametrize("after", [0, 4])
def test_silence_keeps_the_connection_open(sim: Simulator, http_client: Any, after: int) -> None:
    """Nothing more comes, and leaving is noticed."""
    sim.script(Silence(after_chunks=after))
    connection = http_client.connect()
    payload = json.dumps({**HI, "stream": True})
    connection.request("POST", PATHS[1], payload, {"Authorization": "Bearer simulated-key"})
    assert sim.wait_for(lambda s: bool(s.requests) and s.requests[0].chunks_sent == after)
    assert not sim.requests[0].finished.wait(0.05)
    connection.close()
    assert sim.wait_for(lambda s: s.requests[0].closed_early)


@pytest.mark.parametrize(
    ("path", "style", "expected"),
    [
        (PATHS[0], "error", {"type": "error", "message": "unknown error (1000)"}),
        (PATHS[1], "error", {"message": "unknown error (1000)"}),
        (PATHS[1], "base_resp", {"status_code": 1000}),
    ],
)
def test_an_error_in_the_middle_of_a_stream(
    sim: Simulator, http_client: Any, path: str, style: Any, expected: dict[str, Any]
) -> None:
    """Under HTTP 200, in the form of its wire."""
    sim.script(FailMidStream(4, style=style))
    got = http_client.chat("Hi", path, stream=True)
    assert got.status == 200
    assert len(got.frames) == 5
    last = got.frames[-1]
    if style == "base_resp":
        assert last["base_resp"]["status_code"] == expected["status_code"]
    else:
        assert last["error"]["message"] == expected["message"]
        assert last.get("type") == expected.get("type")


def test_an_error_in_the_middle_is_plain_when_nothing_streams(
    sim: Simulator, http_client: Any
) -> None:
    """There is no middle to a whole answer: it is the HTTP error."""
    sim.script(FailMidStream(4))
    assert http_client.chat("Hi").status == 500


def test_served_adds_up_what_was_answered(sim: Simulator, http_client: Any) -> None:
    """Given usage is booked as it is; refusals cost nothing."""
    sim.script(Reply("a", usage=Usage(10, 5, 3, 2)), Fail(code=1002), Reply("b", usage=Usage(1, 1)))
    for stream in (True, False, True):
        http_client.chat("Hi", stream=stream)
    assert sim.served == Served(2, 11, 3, 2, 6)


def test_a_broken_answer_is_booked_as_far_as_it_went(sim: Simulator, http_client: Any) -> None:
    """Whole input, part of the output."""
    sim.script(Drop(3, of=Reply("x" * 4000, thinking="", chunk_chars=4)))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        http_client.chat("Hi", stream=True)
    assert sim.requests[0].finished.wait(1)
    assert sim.served.output_tokens == 3
    assert sim.served.input_tokens == 2


def test_reset_forgets(sim: Simulator, http_client: Any) -> None:
    """Requests, totals and script start again."""
    http_client.chat("Hi")
    sim.script(Fail(529))
    sim.reset()
    assert sim.requests == []
    assert sim.served == Served()
    assert http_client.chat("Hi").status == 200


def test_the_pace_is_kept(sim: Simulator, http_client: Any) -> None:
    """A hundred chunks at 2 ms take 200 ms: a coarse timer does not add up."""
    sim.script(Reply("x" * 100, thinking="", chunk_chars=1, delay_s=0.002))
    started = time.monotonic()
    http_client.chat("Hi", stream=True)
    assert 0.19 < time.monotonic() - started < 2.0


def test_it_stops_at_once_with_streams_open(http_client: Any) -> None:
    """A slow stream, a silent one and an idle connection do not hold up a stop."""
    with Simulator() as sim:
        client = type(http_client)(sim)
        sim.script(Silence(4), Reply("x" * 1000, delay_s=5), Silence(0))
        opened = [_open_stream(client), _open_stream(client)]
        waiting = client.connect()
        headers = {"Authorization": "Bearer simulated-key"}
        waiting.request("POST", PATHS[1], json.dumps(HI), headers)
        assert sim.wait_for(lambda s: len(s.requests) == 3)
        started = time.monotonic()
        sim.stop()
        assert time.monotonic() - started < 1.0
        assert [kept.closed_early for kept in sim.requests] == [False] * 3
        for connection, response in opened:
            response.close()
            connection.close()
        waiting.close()


def simulators() -> list[threading.Thread]:
    """The threads of running simulators, those of other tests included."""
    return [t for t in threading.enumerate() if t.name == "minimax-simulator"]


def test_it_serves_while_the_caller_is_blocked() -> None:
    """Started without a loop it has its own thread, so blocking calls from here are answered."""
    before = set(simulators())
    sim = Simulator()
    assert not sim.running
    sim.start()
    assert set(simulators()) - before
    first = sim.url
    sim.stop()
    assert not sim.running
    assert set(simulators()) == before
    sim.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sim.url
    with sim:
        assert sim.url.startswith("http://127.0.0.1:")
        with pytest.raises(RuntimeError, match="already running"):
            sim.start()
    assert first.startswith("http://127.0.0.1:")


def test_it_serves_on_the_running_loop() -> None:
    """`async with` needs no thread."""

    async def main() -> None:
        before = threading.active_count()
        async with Simulator() as sim:
            assert threading.active_count() == before
            host, port = sim.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.readline()) == b"HTTP/1.1 401 Unauthorized\r\n"
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_a_taken_port_is_an_oserror_and_leaves_nothing_behind() -> None:
    """The thread ends again, and the simulator can be started elsewhere."""
    before = set(simulators())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        sim = Simulator(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            sim.start()
    assert not sim.running
    assert set(simulators()) == before
    with sim:
        assert sim.running


def test_a_body_over_the_limit_is_413(
    sim: Simulator, http_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MiniMax does above 64 MB; the limit is lowered here."""
    monkeypatch.setattr("minimax_magic.simulator.app.MAX_BODY_BYTES", 1000)
    with Simulator() as small:
        got = type(http_client)(small).chat("x" * 2000)
    assert got.status == 413
    assert got.json["error"]["type"] == "request_too_large"
