"""Which credential is used, and what gives the client its bearer token.

Places for an API key, first wins:

1. the argument `api_key` of `MiniMax(...)`
2. the environment variable MINIMAX_CODE_PLAN_KEY
3. the environment variable MINIMAX_CODING_API_KEY
4. the file ./secrets/minimax_code_plan_key.txt
5. `api_key` in llm.yaml, whose default is ${MINIMAX_API_KEY:-}

A place that holds only blanks is as good as empty. One that holds something which cannot be a key
is an error, not passed over: silently using another account's key would be worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from pydantic import SecretStr

from minimax_magic.auth.store import SecretStore
from minimax_magic.config import Settings, process_environ
from minimax_magic.errors import ConfigError, CredentialsMissing
from minimax_magic.masked import MaskedEnviron, MaskedStr

KEY_VARIABLES: Final = ("MINIMAX_CODE_PLAN_KEY", "MINIMAX_CODING_API_KEY")
KEY_FILE: Final = "minimax_code_plan_key.txt"

# what clipboards and editors leave around a key, beyond what str.strip takes
_INVISIBLE: Final = "\ufeff\u200b\u200c\u200d\u2060"


class AuthSource(Protocol):
    """Gives a token for each request. Implementations may refresh it; callers never keep it.

    Both methods may be called by many tasks at once.
    """

    async def fresh_bearer(self) -> str:
        """The token to send now, without `Bearer `; valid for some time yet, as far as is known.

        Raises:
            AuthError: There is none to be had.
        """
        ...

    async def force_refresh(self) -> bool:
        """After a 401: tries to get another token; True if a retry is worth it."""
        ...

    def describe(self) -> str:
        """For people: what it is and where it came from, masked."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """A key and where it was found: `environment MINIMAX_CODE_PLAN_KEY`,
    `secrets/minimax_code_plan_key.txt`, `config/llm.yaml line 4` or `argument api_key`.
    """

    secret: SecretStr
    source: str
    kind: Literal["api_key"] = "api_key"


class StaticKey:
    """An API key: always the same, never refreshed."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential

    def __repr__(self) -> str:
        return f"StaticKey({self.credential.source!r})"

    async def fresh_bearer(self) -> str:
        return MaskedStr(self.credential.secret.get_secret_value())

    async def force_refresh(self) -> bool:
        return False

    def describe(self) -> str:
        return f"API key {masked(self.credential.secret)} from {self.credential.source}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where a key may be.

    Attributes:
        source: As in `Credential`.
        found: Whether something is there.
        used: Whether this is the one that wins.
        shown: The masked key; empty if not found.
        problem: Why what is there cannot be used; empty if it can.
    """

    source: str
    found: bool
    used: bool = False
    shown: str = ""
    problem: str = ""


def find_credential(
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    *,
    api_key: str | SecretStr | None = None,
    store: SecretStore | None = None,
) -> Credential:
    """The first key of the places above.

    Args:
        environ: Environment variables; None: those of the process.
        api_key: Goes before all other places; None or blank: look there.
        store: The secrets folder; None: the one of `settings`. Keep one to be warned only once
            about a file that others may read.

    Raises:
        CredentialsMissing: No place holds anything.
        ConfigError: The first place that holds something holds no key, or cannot be read.
    """
    api_key = _secret(api_key)
    environ = process_environ() if environ is None else MaskedEnviron(environ)
    store = store or SecretStore(settings.secrets_dir, settings.secrets_label)
    for place in _places(settings, environ, api_key, store):
        secret = place.look()
        if secret is None:
            continue
        if problem := _unfit(secret):
            raise ConfigError(
                f"The API key from {place.source} {problem}.",
                hint="Copy the key again, without anything around it.",
            )
        return Credential(secret, place.source)
    raise CredentialsMissing(
        "No MiniMax API key was found.",
        hint=f"Set the environment variable MINIMAX_API_KEY, or put the key into "
        f"{store.label_of(KEY_FILE)}, or run `%minimax simulator` to try it without a key.",
    )


def candidates(
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    *,
    api_key: str | SecretStr | None = None,
    store: SecretStore | None = None,
) -> list[Candidate]:
    """All places in their order, with what is there; arguments as for `find_credential`.

    Never raises. `used` marks what `find_credential` would take; if the first place with anything
    has a `problem`, it marks none, since that place is an error there.
    """
    api_key = _secret(api_key)
    environ = process_environ() if environ is None else MaskedEnviron(environ)
    store = store or SecretStore(settings.secrets_dir, settings.secrets_label)
    found: list[Candidate] = []
    for place in _places(settings, environ, api_key, store):
        try:
            secret = place.look()
        except ConfigError as error:
            found.append(Candidate(place.source, found=True, problem=str(error)))
            continue
        if secret is None:
            found.append(Candidate(place.source, found=False))
            continue
        problem = _unfit(secret)
        first = not any(earlier.found for earlier in found)
        found.append(Candidate(place.source, True, first and not problem, masked(secret), problem))
    return found


def masked(secret: SecretStr) -> str:
    """`sk-cp-...`: the public prefix that tells the kind of key, and no more."""
    text = MaskedStr(secret.get_secret_value())
    prefixes = ("sk-cp-", "sk-api-", "sk-")
    return next((prefix for prefix in prefixes if text.startswith(prefix)), "") + "..."


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere to look: either a value in hand or a file of the store."""

    source: str
    value: SecretStr | None = None
    store: SecretStore | None = None

    def look(self) -> SecretStr | None:
        return _stripped(self.store.read(KEY_FILE) if self.store is not None else self.value)


def _places(
    settings: Settings,
    environ: Mapping[str, str],
    api_key: SecretStr | None,
    store: SecretStore,
) -> Iterator[_Place]:
    if _stripped(api_key) is not None:
        yield _Place("argument api_key", api_key)
    for variable in KEY_VARIABLES:
        yield _Place(f"environment {variable}", _secret(environ.get(variable)))
    yield _Place(store.label_of(KEY_FILE), store=store)
    yield _Place(settings.sources["api_key"], settings.api_key)


def _secret(value: str | SecretStr | None) -> SecretStr | None:
    return SecretStr(value) if isinstance(value, str) else value


def _stripped(secret: SecretStr | None) -> SecretStr | None:
    """Without blanks, byte order mark and quotes around it; None if nothing is left."""
    if secret is None:
        return None
    text = MaskedStr(_bare(secret.get_secret_value()))
    while len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = MaskedStr(_bare(text[1:-1]))
    return SecretStr(str(text)) if text else None


def _bare(text: str) -> str:
    while (shorter := text.strip().strip(_INVISIBLE)) != text:
        text = shorter
    return text


def _unfit(secret: SecretStr) -> str:
    """Why it cannot stand in a header; empty if it can."""
    text = MaskedStr(secret.get_secret_value())
    if any(character.isspace() for character in text):
        return "has blanks or line breaks in it"
    if not text.isprintable():
        return "has control characters in it"
    if any(ord(character) > 255 for character in text):
        return "has characters in it that no key has"
    return ""
