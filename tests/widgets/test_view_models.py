"""The login as a state machine, without widgets."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any

import pytest
from fake_backend import ADDRESS, KEY, SIGNED_IN, USER_CODE, FakeBackend, settle
from pydantic import SecretStr
from traitlets import TraitError

from minimax_magic.errors import APIConnectionError, LoginDenied, LoginExpired, MinimaxError
from minimax_magic.widgets.view_models import LoginModel


def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(coroutine)


async def waiting() -> tuple[FakeBackend, LoginModel, asyncio.Task[None]]:
    """A login whose code is shown."""
    backend = FakeBackend()
    model = LoginModel(backend)
    task = start(model.sign_in())
    await settle()
    await backend.answer()
    assert model.phase == "waiting"
    return backend, model, task


async def checking() -> tuple[FakeBackend, LoginModel, asyncio.Task[None]]:
    """A key that is being tried."""
    backend = FakeBackend()
    model = LoginModel(backend)
    model.choose(way="key")
    task = start(model.use_key(SecretStr(KEY)))
    await settle()
    assert model.phase == "checking"
    return backend, model, task


def everything(model: LoginModel) -> str:
    """All that the model holds, as text."""
    return repr([model.trait_values(), vars(model)])


def only_this_task() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


def test_choices_begin_with_the_first() -> None:
    """The first region and the first place are preset."""
    model = LoginModel(FakeBackend())
    assert (model.way, model.region, model.place) == ("plan", "global", "project")
    assert (model.phase, model.status, model.error) == ("choose", "", "")


def test_a_place_of_the_other_way_is_left() -> None:
    """ "This session only" does not survive the change to a login that has to be stored."""
    model = LoginModel(FakeBackend())
    model.choose(way="key", place="session")
    assert (model.way, model.place) == ("key", "session")
    model.choose(way="plan")
    assert (model.way, model.place) == ("plan", "project")
    model.choose(place="user", region="china")
    model.choose(way="key")
    assert (model.region, model.place) == ("china", "user")


def test_unknown_words_are_refused() -> None:
    """A misspelt way, phase or argument is an error, not a surprise later."""
    model = LoginModel(FakeBackend())
    with pytest.raises(TraitError):
        model.way = "password"
    with pytest.raises(TraitError):
        model.phase = "finished"
    with pytest.raises(TypeError):
        LoginModel(FakeBackend(), wy="key")  # type: ignore[call-arg]


def test_a_plan_login_goes_through_all_phases() -> None:
    """Asking, waiting with a code, done: and then the code is gone."""

    async def main() -> None:
        backend = FakeBackend()
        model = LoginModel(backend)
        phases: list[str] = []
        model.observe(lambda change: phases.append(change["new"]), "phase")
        model.choose(region="china", place="user")
        task = start(model.sign_in())
        await settle()
        assert (model.phase, model.code) == ("asking", None)
        assert model.status == "Asking MiniMax for a code."

        await backend.answer()
        assert model.phase == "waiting"
        assert model.status == "Waiting for you to approve."
        assert model.code is not None
        assert model.code.user_code == USER_CODE
        assert not any(USER_CODE in str(value) for value in model.trait_values().values())

        await backend.answer()
        await task
        assert phases == ["asking", "waiting", "done"]
        assert model.signed_in == SIGNED_IN
        assert backend.calls == [("begin", "china", "user"), ("wait",)]
        assert USER_CODE not in everything(model)
        assert ADDRESS not in everything(model)

    asyncio.run(main())


def test_a_key_is_checked_and_not_kept() -> None:
    """The backend gets the key with region and place; afterwards the model does not have it."""

    async def main() -> None:
        backend, model, task = await checking()
        model.choose(place="session")
        assert model.status == "Checking the key."
        await backend.answer()
        await task
        assert (model.phase, model.status, model.signed_in) == ("done", "", SIGNED_IN)
        assert backend.calls == [("use_key", KEY, "global", "project")]
        assert KEY not in everything(model)

    asyncio.run(main())


@pytest.mark.parametrize(
    "error",
    [
        LoginDenied("The login was declined.", hint="Start again and allow it."),
        LoginExpired("The code ran out.", hint="Start again."),
        APIConnectionError("api.minimax.io cannot be reached.", hint="Check the network."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_our_errors_speak_for_themselves(error: MinimaxError) -> None:
    """A login that fails says what happened and what to do, and shows no code any more."""

    async def main() -> None:
        backend, model, task = await waiting()
        await backend.answer(error)
        await task
        assert (model.phase, model.status) == ("failed", "")
        assert model.error == f"{error.message} {error.hint}"
        assert (model.code, model.signed_in) == (None, None)

    asyncio.run(main())


def test_asking_for_a_code_can_fail() -> None:
    """Without a code there is nothing to wait for."""

    async def main() -> None:
        backend = FakeBackend()
        model = LoginModel(backend)
        task = start(model.sign_in())
        await settle()
        await backend.answer(APIConnectionError("No network."))
        await task
        assert (model.phase, model.error) == ("failed", "No network.")

    asyncio.run(main())


def test_a_lost_connection_is_told_while_the_code_stays() -> None:
    """The backend says in a sentence that it is trying again; the login goes on."""

    async def main() -> None:
        backend, model, task = await waiting()
        backend.on_state("The connection was lost; trying again.")
        assert model.status == "The connection was lost; trying again."
        assert model.phase == "waiting"
        assert model.code is not None
        await backend.answer()
        await task
        assert model.phase == "done"

    asyncio.run(main())


def test_a_late_sentence_is_not_shown() -> None:
    """What an attempt says after its end does not appear in the next one."""

    async def main() -> None:
        backend, model, task = await waiting()
        old = backend.on_state
        model.cancel()
        await task
        old("Waiting for you to approve.")
        assert model.status == "Cancelled."
        second = start(model.sign_in())
        await settle()
        old("Waiting for you to approve.")
        assert model.status == "Asking MiniMax for a code."
        model.cancel()
        await second

    asyncio.run(main())


@pytest.mark.parametrize("answers", [0, 1], ids=["asking", "waiting"])
def test_a_plan_login_can_be_cancelled(answers: int) -> None:
    """Cancel ends the request that runs, and leads back to the choices."""

    async def main() -> None:
        backend = FakeBackend()
        model = LoginModel(backend)
        task = start(model.sign_in())
        await settle()
        for _ in range(answers):
            await backend.answer()
        model.cancel()
        await task
        assert (model.phase, model.status, model.code) == ("choose", "Cancelled.", None)
        assert backend.cancelled == [["begin", "wait"][answers]]
        assert only_this_task()

    asyncio.run(main())


def test_a_key_check_can_be_cancelled() -> None:
    """The same for a key."""

    async def main() -> None:
        backend, model, task = await checking()
        model.cancel()
        await task
        assert (model.phase, model.status) == ("choose", "Cancelled.")
        assert backend.cancelled == ["use_key"]
        assert only_this_task()

    asyncio.run(main())


def test_cancelled_before_it_began() -> None:
    """Cancel in the same moment as the start asks nobody anything, and the next start works."""

    async def main() -> None:
        backend = FakeBackend()
        model = LoginModel(backend)
        task = start(model.sign_in())
        await asyncio.sleep(0)  # sign_in has begun, its attempt not yet
        model.cancel()
        await task
        assert (model.phase, backend.calls) == ("choose", [])
        again = start(model.sign_in())
        await settle()
        assert model.phase == "asking"
        model.cancel()
        await again

    asyncio.run(main())


def test_whoever_awaits_can_be_cancelled_too() -> None:
    """The end of the loop cancels the coroutine itself: the attempt ends with it, and it says so."""

    async def main() -> None:
        backend, model, task = await waiting()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert model.phase == "choose"
        assert backend.cancelled == ["wait"]
        assert only_this_task()

    asyncio.run(main())


def test_cancel_without_an_attempt_does_nothing() -> None:
    """Neither before nor after a login is there anything to cancel."""

    async def main() -> None:
        model = LoginModel(FakeBackend())
        model.cancel()
        assert (model.phase, model.status) == ("choose", "")
        backend, model, task = await waiting()
        await backend.answer()
        await task
        model.cancel()
        await settle()
        assert model.phase == "done"

    asyncio.run(main())


def test_a_second_start_is_ignored() -> None:
    """One login at a time, whichever way it is started."""

    async def main() -> None:
        backend, model, task = await waiting()
        await model.sign_in()
        await model.use_key(SecretStr(KEY))
        assert model.phase == "waiting"
        assert [call[0] for call in backend.calls] == ["begin", "wait"]
        await backend.answer()
        await task

    asyncio.run(main())


def test_again_leads_back_to_the_choices() -> None:
    """After a failure, with the choices as they were; not while a login runs."""

    async def main() -> None:
        backend, model, task = await waiting()
        model.again()
        assert model.phase == "waiting"
        model.choose(region="china")
        await backend.answer(LoginDenied("No."))
        await task
        model.again()
        assert (model.phase, model.status, model.error) == ("choose", "", "")
        assert model.region == "china"

    asyncio.run(main())


def test_an_unexpected_error_is_named_and_logged_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fault of ours ends in "failed" too. Its text may quote the key, so nobody sees it."""

    async def main() -> LoginModel:
        backend, model, task = await checking()
        await backend.answer(ValueError(f"bad key {KEY}"))
        await task
        return model

    with caplog.at_level(logging.DEBUG):
        model = asyncio.run(main())
    assert (model.phase, model.error) == ("failed", "Logging in failed unexpectedly (ValueError).")
    assert "ended with ValueError, raised at" in caplog.text
    assert "fake_backend.py" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in everything(model)
    assert all(record.exc_info is None for record in caplog.records)


def test_the_view_model_needs_no_widgets() -> None:
    """It can be used, and tested, where ipywidgets is not even imported."""
    check = (
        "import sys, minimax_magic.widgets.view_models;"
        "print([m for m in ('ipywidgets', 'anywidget', 'pydantic', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
