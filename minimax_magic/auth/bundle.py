"""The bundle: what a Token Plan login leaves on disk, as a value.

`minimax_token_plan.json` of the reference page has `expires_at` as an ISO 8601 time; nexo-rs itself
writes `minimax_portal.json` with seconds since 1970, and milliseconds are in the wild. All are read.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.wire.address import DEFAULT_BASE_URL

# 2001 in milliseconds, the year 33658 in seconds
_MILLISECONDS_FROM: Final = 1e12


def _moment(value: object) -> object:
    """A time from any of the forms it is written in; what is none is left for pydantic to refuse."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            try:
                moment = datetime.fromisoformat(str(value).strip())
                # a time without zone is meant as UTC everywhere in this file
                return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
            except (ValueError, OverflowError):
                return "no time"
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(
                value / 1000 if value >= _MILLISECONDS_FROM else value, UTC
            )
        except (ValueError, OverflowError, OSError):
            return "no time"
    return value if isinstance(value, datetime) else "no time"


Moment = Annotated[datetime, BeforeValidator(_moment)]


class TokenBundle(BaseModel):
    """A login.

    Attributes:
        refresh_token: Good for one use. None: the token cannot be renewed.
        expires_at: Aware, UTC, by this machine's clock.
        region: The API root that the login is for.
        resource_url: The server that the login is meant for, as MiniMax said; None if it did not.
        obtained_at: When the access token came; None if the file does not say.
        client_id: Whose login it is, which renewing has to repeat; None: the file does not say.
        epoch_seconds: The file has `expires_at` as nexo-rs writes and reads it, and keeps it so.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = None
    expires_at: Moment
    region: str = DEFAULT_BASE_URL
    resource_url: str | None = None
    obtained_at: Moment | None = None
    client_id: str | None = None
    epoch_seconds: bool = Field(default=False, exclude=True)

    @field_validator("access_token")
    @classmethod
    def _fits_into_a_header(cls, token: SecretStr) -> SecretStr:
        text = MaskedStr(token.get_secret_value())
        if not text.isprintable() or " " in text:
            raise ValueError("no token")
        return token

    def seconds_left(self, now: float) -> float:
        return self.expires_at.timestamp() - now

    @property
    def lifetime_s(self) -> float | None:
        """How long the access token was good for when it came; None if unknown."""
        if self.obtained_at is None:
            return None
        return (self.expires_at - self.obtained_at).total_seconds()


def parse_bundle(text: str, label: str) -> TokenBundle:
    """The bundle in a file's text.

    Args:
        label: The file, for the words of the error.

    Raises:
        ConfigError: The text is cut off, is no JSON, or lacks something. It quotes nothing of it.
    """
    text = MaskedStr(text)
    bundle = _parsed(text)
    if isinstance(bundle, str):
        raise ConfigError(f"{label} is damaged: {bundle}.")
    return bundle


def _parsed(text: str) -> TokenBundle | str:
    """The bundle, or what is wrong. Nothing is raised from here, where the decoded text is at hand:
    tracebacks may show local variables."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "it is empty" if not text.strip() else "it is cut off or is no JSON"
    if not isinstance(data, dict):
        return "it holds no mapping"
    known = {
        name: value
        for name, value in data.items()
        if name in TokenBundle.model_fields and value not in (None, "") and name != "epoch_seconds"
    }
    expires_at = known.get("expires_at")
    seconds = isinstance(expires_at, int) and expires_at < _MILLISECONDS_FROM
    try:
        return TokenBundle(**known, epoch_seconds=seconds)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        return f"{first['loc'][0]} is {'missing' if first['type'] == 'missing' else 'not valid'}"


def bundle_text(bundle: TokenBundle) -> str:
    """The text of the file, masked in reprs."""
    data: dict[str, Any] = {
        "access_token": bundle.access_token.get_secret_value(),
        "refresh_token": bundle.refresh_token and bundle.refresh_token.get_secret_value(),
        "expires_at": (
            int(bundle.expires_at.timestamp()) if bundle.epoch_seconds else _iso(bundle.expires_at)
        ),
        "region": bundle.region,
        "resource_url": bundle.resource_url,
        "obtained_at": bundle.obtained_at and _iso(bundle.obtained_at),
        "client_id": bundle.client_id,
    }
    return MaskedStr(
        json.dumps({name: value for name, value in data.items() if value is not None}, indent=2)
        + "\n"
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
