"""Which credential is used, and what gives the client its bearer token.

Places, first wins:

1. an argument of `MiniMax(...)`: `api_key` or `bundle`
2. the key that was entered in the login panel for this session alone
3. a Token Plan login: the bundle of `auth.bundle` or MINIMAX_BUNDLE if that is set, else
   ./secrets/minimax_token_plan.json, ./secrets/minimax_portal.json (nexo-rs), and the one kept for
   the user
4. the environment variable MINIMAX_CODE_PLAN_KEY
5. the environment variable MINIMAX_CODING_API_KEY
6. the file ./secrets/minimax_code_plan_key.txt
7. `api_key` in llm.yaml, whose default is ${MINIMAX_API_KEY:-}

With `auth.mode: static` logins are left out, with `token_plan` all keys but those of 1 and 2.

A place that holds only blanks is as good as empty. One that holds something which cannot be a key, or
a damaged bundle, is an error, not passed over: silently using another account would be worse. A login
for another server than the configured base_url is passed over, and said if nothing else is found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BUNDLE_FILE, NEXO_BUNDLE_FILE, BundleFile
from minimax_magic.auth.regions import Region, resolve_region
from minimax_magic.auth.store import SecretStore
from minimax_magic.config import Settings, process_environ
from minimax_magic.config_folders import label_of
from minimax_magic.errors import ConfigError, CredentialsMissing
from minimax_magic.masked import MaskedEnviron, MaskedStr
from minimax_magic.wire.address import checked_url
from minimax_magic.words import duration

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

    async def force_refresh(self, refused: str | None = None) -> bool:
        """After a 401: tries to get another token; True if a retry is worth it.

        Args:
            refused: The token that was not taken; if there is another one by now, that is enough.
                None: get a new one in any case.

        Raises:
            AuthError: There is none to be had.
        """
        ...

    def describe(self) -> str:
        """For people: what it is and where it came from, masked."""
        ...

    async def close(self) -> None:
        """Ends what runs in the background; it may be used again."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """A key and where it was found: `environment MINIMAX_CODE_PLAN_KEY`,
    `secrets/minimax_code_plan_key.txt`, `config/llm.yaml line 4` or `argument api_key`.
    """

    secret: SecretStr
    source: str


@dataclass(frozen=True, slots=True)
class Login:
    """A Token Plan login, as found.

    Attributes:
        bundle: What was in the file.
        base_url: Where its requests go.
    """

    file: BundleFile
    bundle: TokenBundle
    region: Region
    base_url: str

    @property
    def source(self) -> str:
        return self.file.label


class LoginElsewhere(ConfigError):
    """There is a login, but base_url is a server that must not be sent its token."""


class StaticKey:
    """An API key: always the same, never refreshed."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential

    def __repr__(self) -> str:
        return f"StaticKey({self.credential.source!r})"

    async def fresh_bearer(self) -> str:
        return MaskedStr(self.credential.secret.get_secret_value())

    async def force_refresh(self, refused: str | None = None) -> bool:
        return False

    def describe(self) -> str:
        return f"API key {masked(self.credential.secret)} from {self.credential.source}"

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where a credential may be.

    Attributes:
        source: As in `Credential`; for a login the file.
        found: Whether something is there.
        used: Whether this is the one that wins.
        shown: What is there, masked; empty if nothing is.
        problem: Why what is there cannot be used; empty if it can.
    """

    source: str
    found: bool
    used: bool = False
    shown: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """Credentials that do not come from settings.

    Attributes:
        api_key: The argument of `MiniMax`; goes before everything.
        bundle: The same for a bundle's path.
        session_key: What was entered for this session alone.
        files_only: Look in the secrets folder and nowhere else, for a server that must not get what
            is meant for MiniMax.
    """

    api_key: SecretStr | None = None
    bundle: Path | None = None
    session_key: SecretStr | None = None
    files_only: bool = False


def find_credential(
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    given: Given = Given(),
    *,
    store: SecretStore | None = None,
) -> Credential | Login:
    """The first credential of the places above.

    Args:
        environ: Environment variables; None: those of the process.
        store: The secrets folder; None: the one of `settings`. Keep one to be warned only once
            about a file that others may read.

    Raises:
        CredentialsMissing: No place holds anything.
        ConfigError: The first place that holds something holds nothing of use, or cannot be read.
    """
    environ = _masked_environ(environ)
    elsewhere: LoginElsewhere | None = None
    for place in _places(settings, environ, given, store):
        try:
            found = place.look()
        except LoginElsewhere as error:
            if place.wanted:
                raise
            elsewhere = elsewhere or error
            continue
        if isinstance(found, Login):
            return found
        if found is None:
            if place.wanted:
                raise CredentialsMissing(
                    f"There is no login: {place.source} does not exist.",
                    hint="Log in with `%minimax login`.",
                )
            continue
        return Credential(clean_key(found, place.source), place.source)
    if elsewhere is not None:
        raise elsewhere
    if settings.auth.mode == "token_plan":
        raise CredentialsMissing(
            "No Token Plan login was found, and auth.mode in llm.yaml is token_plan.",
            hint="Log in with `%minimax login`.",
        )
    raise CredentialsMissing(
        "No MiniMax login and no API key was found.",
        hint="Run `%minimax login`, or set the environment variable MINIMAX_API_KEY. "
        "`%minimax simulator` tries it without either.",
    )


def candidates(
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    given: Given = Given(),
    *,
    store: SecretStore | None = None,
    now: float | None = None,
) -> list[Candidate]:
    """All places in their order, with what is there; arguments as for `find_credential`.

    Never raises. `used` marks what `find_credential` would take; if the first place with anything
    has a `problem` that is an error there, it marks none.

    Args:
        now: Seconds since 1970; None: ask the machine.
    """
    environ = _masked_environ(environ)
    now = time.time() if now is None else now
    rows: list[Candidate] = []
    decided = False
    for place in _places(settings, environ, given, store):
        try:
            found = place.look()
        except LoginElsewhere as error:
            rows.append(Candidate(place.source, found=True, problem=str(error)))
            decided = decided or place.wanted
            continue
        except ConfigError as error:
            rows.append(Candidate(place.source, found=True, problem=str(error)))
            decided = True
            continue
        if found is None:
            rows.append(Candidate(place.source, found=False))
            decided = decided or place.wanted
            continue
        if isinstance(found, Login):
            shown, problem = _shown_login(found, now), ""
        else:
            shown, problem = masked(found), _unfit(found)
        rows.append(Candidate(place.source, True, not decided and not problem, shown, problem))
        decided = True
    return rows


def bundle_files(settings: Settings) -> list[BundleFile]:
    """Where a login may be, in the order of precedence; they need not exist."""
    if settings.auth.bundle is not None:
        return [bundle_file(settings, settings.auth.bundle)]
    folders = [
        (settings.secrets_dir, BUNDLE_FILE),
        (settings.secrets_dir, NEXO_BUNDLE_FILE),
        (user_secrets_dir(settings), BUNDLE_FILE),
    ]
    return [bundle_file(settings, folder / name) for folder, name in folders]


def bundle_file(settings: Settings, path: Path) -> BundleFile:
    """A bundle with the name that people know it by."""
    folder = path.parent
    known = folder == settings.secrets_dir
    label = settings.secrets_label if known else label_of(folder, settings.start)
    return BundleFile(path, f"{label}/{path.name}")


def user_secrets_dir(settings: Settings) -> Path:
    """Where credentials are kept that serve all notebooks of a user."""
    return settings.data_dir / "secrets"


def login_base_url(settings: Settings, region: Region, bundle: TokenBundle) -> str:
    """Where the requests of a login go: the server that it brought, unless base_url says more.

    A base_url that names just the host of the login's region says nothing more: a login is meant
    for the server that came with it, which speaks the Anthropic wire.

    Raises:
        LoginElsewhere: base_url is a server that must not be sent the token.
    """
    own = region.base_url(bundle.resource_url)
    if settings.sources["base_url"] == "default":
        return own
    wanted = checked_url(settings.base_url)
    if not region.trusts(wanted.geturl()):
        raise LoginElsewhere(
            f"The login is for {urlsplit(region.root).netloc}, but base_url "
            f"({settings.sources['base_url']}) is {wanted.netloc}.",
            hint="Remove base_url, or log in for that server with `%minimax login`.",
        )
    bare = wanted.path in ("", "/") and settings.api_flavor is None
    return own if bare else settings.base_url


def clean_key(key: SecretStr, source: str) -> SecretStr:
    """A key without what clipboards leave around it.

    Raises:
        ConfigError: It is empty, or cannot be a key.
    """
    stripped = _stripped(key)
    problem = "is empty" if stripped is None else _unfit(stripped)
    if stripped is None or problem:
        raise ConfigError(
            f"The API key from {source} {problem}.",
            hint="Copy the key again, without anything around it.",
        )
    return stripped


def masked(secret: SecretStr) -> str:
    """`sk-cp-...`: the public prefix that tells the kind of key, and no more."""
    text = MaskedStr(secret.get_secret_value())
    prefixes = ("sk-cp-", "sk-api-", "sk-")
    return next((prefix for prefix in prefixes if text.startswith(prefix)), "") + "..."


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere to look.

    Attributes:
        wanted: It was asked for by name, so that finding nothing there is an error.
    """

    source: str
    look: Callable[[], SecretStr | Login | None]
    wanted: bool = False


def _places(
    settings: Settings,
    environ: Mapping[str, str],
    given: Given,
    store: SecretStore | None,
) -> Iterator[_Place]:
    store = store or SecretStore(settings.secrets_dir, settings.secrets_label)
    mode = settings.auth.mode
    if _stripped(given.api_key) is not None:
        yield _value("argument api_key", given.api_key)
    elif given.bundle is not None:
        file = bundle_file(settings, given.bundle)
        yield _Place(file.label, lambda: _login(settings, file), wanted=True)
    if given.session_key is not None:
        yield _value("this session", given.session_key)
    if mode != "static":
        for file in bundle_files(settings):
            wanted = mode == "token_plan" and settings.auth.bundle is not None
            yield _Place(file.label, lambda file=file: _login(settings, file), wanted)  # type: ignore[misc]
    if mode == "token_plan":
        return
    if not given.files_only:
        for variable in KEY_VARIABLES:
            yield _value(f"environment {variable}", _secret(environ.get(variable)))
    yield _Place(store.label_of(KEY_FILE), lambda: _stripped(store.read(KEY_FILE)))
    if not given.files_only:
        yield _value(settings.sources["api_key"], settings.api_key)


def _masked_environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return process_environ() if environ is None else MaskedEnviron(environ)


def _value(source: str, secret: SecretStr | None) -> _Place:
    return _Place(source, lambda: _stripped(secret))


def _login(settings: Settings, file: BundleFile) -> Login | None:
    bundle = file.read()
    if bundle is None:
        return None
    region = region_of(settings, bundle.region)
    return Login(file, bundle, region, login_base_url(settings, region, bundle))


def region_of(settings: Settings, region: str) -> Region:
    """A region with the endpoints that are configured.

    Raises:
        ConfigError: It is no usable address.
    """
    return resolve_region(
        region,
        code_endpoint=settings.auth.code_endpoint,
        token_endpoint=settings.auth.refresh_endpoint,
    )


def _shown_login(login: Login, now: float) -> str:
    left = login.bundle.seconds_left(now)
    state = f"token valid for {duration(left)}" if left > 0 else "token to be renewed"
    return f"login at {urlsplit(login.region.root).netloc}, {state}"


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
