"""Every error that minimax_magic raises on purpose.

::

    MinimaxError                 .hint: one sentence, what to do next
    ├── ConfigError              a file, variable or option is wrong; nothing was sent
    ├── AuthError
    │   ├── CredentialsMissing   no key and no login was found
    │   ├── CredentialInvalid    the server refused the key or token
    │   ├── LoginDenied          the person said no on the consent page
    │   └── LoginExpired         nobody answered in time
    ├── APIError                 the server answered with an error
    │   ├── RateLimitError       too many requests; .retry_after_ms
    │   ├── QuotaExceeded        the plan's window is used up; .resets_at
    │   ├── ServerError          5xx, 529 and the codes that mean the same
    │   ├── InsufficientBalance  pay-as-you-go account is empty
    │   ├── ContentRefused       input or output was found sensitive
    │   └── RequestRejected      any other 4xx
    ├── APIConnectionError       no answer before the first byte
    │   └── APITimeoutError
    ├── ProtocolError            the server broke the wire format
    ├── StreamInterrupted        an answer began and did not end; .partial, .reason
    ├── OutputInvalid            structured output that did not validate; .text
    └── BudgetExceeded           refused before sending

They carry plain values and import nothing of ours. No text may hold a credential: whoever builds
one from a server's words masks it first (`wire.http.mask`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from minimax_magic.events import ChatReply

InterruptReason = Literal["cancelled", "timeout", "disconnected", "truncated", "server_error"]


class MinimaxError(Exception):
    """Base of everything raised here.

    Args:
        message: What happened, one sentence without a final newline.
        hint: What to do next, one sentence; empty when there is nothing to do.
        status: HTTP status of the answer; None when there was none.
        code: MiniMax's own number (`1008`, `2056`, ...); None when the server gave none.
        request_id: The server's id of the request, to quote to its support; None if unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        code: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = status
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(MinimaxError):
    """A setting, a file or an option is wrong. Nothing was sent."""


class AuthError(MinimaxError):
    """Signing in, or being recognised, failed."""


class CredentialsMissing(AuthError):
    """No API key and no login was found in any of the places that are searched."""


class CredentialInvalid(AuthError):
    """The server refused the credential."""


class LoginDenied(AuthError):
    """The person declined on the consent page."""


class LoginExpired(AuthError):
    """The code ran out before anybody approved it."""


class APIError(MinimaxError):
    """The server answered with an error.

    Args:
        body: The start of the server's answer, masked, for a bug report.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        code: int | None = None,
        request_id: str | None = None,
        body: str = "",
    ) -> None:
        super().__init__(message, hint=hint, status=status, code=code, request_id=request_id)
        self.body = body


class RateLimitError(APIError):
    """Too many requests or tokens per minute.

    Attributes:
        retry_after_ms: Milliseconds to wait as asked by the server; None if it did not say.
    """

    retry_after_ms: int | None = None


class QuotaExceeded(APIError):
    """The plan's allowance for the current window is used up; retrying does not help before it resets.

    Attributes:
        resets_at: When the window ends (aware, UTC); None if the server did not say.
    """

    resets_at: datetime | None = None


class ServerError(APIError):
    """The fault is on the server's side (5xx, 529 and the codes that mean the same)."""

    retry_after_ms: int | None = None


class InsufficientBalance(APIError):
    """The pay-as-you-go account has no money left."""


class ContentRefused(APIError):
    """Input or output was refused as sensitive (codes 1026, 1027)."""


class RequestRejected(APIError):
    """The request itself is at fault (any other 4xx); sending it again changes nothing."""


class APIConnectionError(MinimaxError):
    """No byte of an answer arrived: name resolution, connection, TLS, proxy or a dropped line.

    Attributes:
        sent: Whether the request may have reached the server, which then may have worked on it.
    """

    sent = True


class APITimeoutError(APIConnectionError):
    """The server stayed silent for longer than `idle_timeout_s`."""


class ProtocolError(MinimaxError):
    """The server's bytes do not follow the wire format."""


class StreamInterrupted(MinimaxError):
    """An answer began and did not come to its end.

    Args:
        partial: All that was received, usage seen so far included.
        reason: `cancelled` by us, `timeout` (went silent), `disconnected`, `truncated` (the stream
            just ended), or `server_error` (an error frame inside the stream).
    """

    def __init__(
        self,
        message: str,
        *,
        partial: ChatReply,
        reason: InterruptReason,
        hint: str = "",
        status: int | None = None,
        code: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, status=status, code=code, request_id=request_id)
        self.partial = partial
        self.reason: InterruptReason = reason


class OutputInvalid(MinimaxError):
    """Structured output did not validate.

    Args:
        text: What the model wrote, so that nothing paid for is lost.
    """

    def __init__(self, message: str, *, text: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.text = text


class BudgetExceeded(MinimaxError):
    """Sending this could cost more than the budget allows. Nothing was sent."""
