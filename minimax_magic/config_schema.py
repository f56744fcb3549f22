"""What may stand in llm.yaml and agents.d, and how a mistake in it is told.

The sections are the ones of the reference page. Values arrive as text (see `yaml_file`), so types
are decided here. None and empty text mean "not set" everywhere: the default applies.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from minimax_magic.errors import ConfigError
from minimax_magic.messages import ApiFlavor
from minimax_magic.models import DEFAULT_MODEL
from minimax_magic.yaml_file import YamlNode, shown

API_FLAVORS: Final[Mapping[str, ApiFlavor]] = MappingProxyType(
    {
        spelling: flavor
        for flavor, short in (
            (ApiFlavor.OPENAI_COMPAT, "openai"),
            (ApiFlavor.ANTHROPIC_MESSAGES, "anthropic"),
        )
        for spelling in (flavor.value, flavor.value.replace("_", "-"), short)
    }
)
"""Every accepted spelling of `api_flavor`."""

# nexo's own; a llm.yaml shared with it must load
_NEXO_TOP_KEYS = frozenset({"schema_version", "context_optimization", "tenants"})

CacheMode: TypeAlias = Literal["off", "record", "replay", "refresh"]
"""What is done about recorded answers: nothing; give those that there are and record the rest; give
them and ask for nothing; ask for all and record it."""

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True)]
Name: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
AboveZero: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# from the text of the file, digit by digit: no float on the way
Dollars: TypeAlias = Annotated[
    Decimal, Field(ge=0, le=1_000_000_000, decimal_places=12, allow_inf_nan=False)
]
# dearer by far than any model, and no request of a million tokens is too dear for the ledger
PerMillion: TypeAlias = Annotated[
    Decimal, Field(ge=0, le=100_000, decimal_places=12, allow_inf_nan=False)
]


def _flavor(value: object) -> object:
    return API_FLAVORS.get(value.strip().lower(), value) if isinstance(value, str) else value


def _small(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


class Section(BaseModel):
    """A mapping of a config file: unknown keys are errors, empty values are as if not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    ignored_keys: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = list(cls.model_fields)
        for key in data:
            if key not in known and key not in cls.ignored_keys:
                raise PydanticCustomError(
                    "unknown_key", "unknown key", {"key": key, "known": known}
                )
        return {key: value for key, value in data.items() if key in known and not _empty(value)}


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


class RetrySettings(Section):
    """Top-level `retry` of llm.yaml."""

    max_attempts: Annotated[int, Field(ge=1)] = 5
    initial_backoff_ms: Annotated[int, Field(ge=0)] = 1000
    max_backoff_ms: Annotated[int, Field(ge=0)] = 60000
    backoff_multiplier: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0


class AuthSettings(Section):
    """`auth` of the provider: how to sign in. Its paths are absolute once loaded.

    Attributes:
        mode: `static` (API key), `token_plan` (bundle), or `auto`: the bundle if there is one.
        bundle: Token bundle of the Token Plan; None: the usual file in the secrets folder.
        code_endpoint: Where a device code is asked for; None: known from the region.
        refresh_endpoint: Where tokens come from; None: known from the region.
    """

    ignored_keys = frozenset({"setup_token_file"})

    mode: Literal["static", "token_plan", "auto"] = "auto"
    bundle: Path | None = None
    client_id: Text | None = None
    scope: Text | None = None
    region: Text | None = None
    code_endpoint: Text | None = None
    refresh_endpoint: Text | None = None


class RateLimitSection(Section):
    requests_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    quota_alert_threshold: Annotated[int, Field(ge=0)] | None = None


class TimeoutsSection(Section):
    idle_timeout_s: AboveZero = 120.0
    max_retry_wait_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 120.0


class ProviderSection(Section):
    """`providers.minimax` of llm.yaml."""

    ignored_keys = frozenset({"embedding_model", "safety_settings"})  # nexo's own

    api_key: SecretStr | None = None
    group_id: Text | None = None
    base_url: Text = "https://api.minimax.io"
    api_flavor: Annotated[ApiFlavor, BeforeValidator(_flavor)] | None = None
    model: Text = DEFAULT_MODEL
    rate_limit: RateLimitSection = RateLimitSection()
    timeouts: TimeoutsSection = TimeoutsSection()
    auth: AuthSettings = AuthSettings()


class BudgetSettings(Section):
    """Top-level `budget` of llm.yaml: US dollars that may be spent; 0: nothing, None: no limit.

    Attributes:
        cell: By one run of a cell.
        kernel: By one kernel, until it is restarted.
        day, month: By all kernels of this machine, on a calendar day or month of local time.
    """

    cell: Dollars | None = None
    kernel: Dollars | None = None
    day: Dollars | None = None
    month: Dollars | None = None


class PriceSection(Section):
    """One entry of `prices` in llm.yaml, in US dollars per million tokens. None: as it was."""

    input: PerMillion | None = None
    output: PerMillion | None = None
    cache_read: PerMillion | None = None
    cache_write: PerMillion | None = None


class LlmFile(Section):
    """llm.yaml itself. What belongs to other providers has been left out before.

    Attributes:
        prices: By the model's id; `PriceSection` says what one holds.
        ledger: File of the record of what was used, or `:memory:`; None: the usual one.
        cache_file: File of recorded answers, likewise.
    """

    ignored_keys = _NEXO_TOP_KEYS

    providers: dict[str, Any] = {}
    retry: RetrySettings = RetrySettings()
    prices: dict[str, Any] = {}
    budget: BudgetSettings = BudgetSettings()
    ledger: Text | None = None
    cache: Annotated[CacheMode, BeforeValidator(_small)] = "off"
    cache_file: Text | None = None


class AgentModelSection(Section):
    provider: Text = "minimax"
    model: Text | None = None


class AgentSection(Section):
    """One entry of `agents` in a file of agents.d.

    Attributes:
        tools: Names of functions that it may call.
        max_steps: Most requests for one prompt; None: as without an agent.
    """

    id: Text
    model: AgentModelSection = AgentModelSection()
    system_prompt: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: list[Name] = []
    max_steps: Annotated[int, Field(ge=1, le=100)] | None = None


class AgentsFile(Section):
    ignored_keys = frozenset({"schema_version"})

    agents: list[Any] = []


S = TypeVar("S", bound=Section)
Location: TypeAlias = tuple[str | int, ...]


def validated(
    section: type[S],
    data: object,
    *,
    where: str,
    node: YamlNode | None,
    variables: Mapping[Location, str] = MappingProxyType({}),
) -> S:
    """`data` as a section, or the first mistake in it.

    Args:
        data: What `YamlNode.value` gave; its texts do not show themselves in tracebacks.
        where: What errors call this section, `providers.minimax`; empty for the file itself.
        node: Where `data` came from; None if only from `variables`.
        variables: Values that an environment variable has replaced, and its name.

    Raises:
        ConfigError: Names file and line, or the variable. Quotes what the file says, never what a
            placeholder or variable holds.
    """
    checked = _checked(section, data)
    if isinstance(checked, Section):
        return checked
    problems = sorted((_Problem(error, where, node, variables) for error in checked), key=_order)
    raise problems[0].told()


def _checked(section: type[S], data: object) -> S | list[ErrorDetails]:
    """Returns the errors, since pydantic's own exception holds every value."""
    try:
        return section.model_validate(data)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False)


def similar(name: str, known: list[str], *, what: str) -> str:
    """A hint for a name that does not exist: the one that was probably meant, or all of them."""
    meant = difflib.get_close_matches(name, known, n=1)
    if meant:
        return f"Did you mean '{meant[0]}'?"
    return f"Known {what}: {', '.join(known)}." if known else f"There are no {what}."


class _Problem:
    """One error of pydantic, and where it is."""

    def __init__(
        self,
        error: ErrorDetails,
        where: str,
        node: YamlNode | None,
        variables: Mapping[Location, str],
    ) -> None:
        self.kind = error["type"]
        self.context: dict[str, Any] = error.get("ctx", {})
        location = error["loc"]
        if self.kind == "unknown_key":
            location = (*location, self.context["key"])
        self.variable = variables.get(location)
        self.node = node.nearest(location) if node is not None else None
        self._location = location
        self._where = where

    @property
    def line(self) -> int:
        return self.node.line if self.node is not None and self.variable is None else 0

    def told(self) -> ConfigError:
        path = [self._where] if self._where else []
        for step in self._location:
            if isinstance(step, int) and path:
                path[-1] += f"[{step}]"
            else:
                path.append(str(step))
        *parents, name = path or ["the file"]
        at = f" in {'.'.join(parents)}" if parents else ""
        if self.variable is not None:
            return ConfigError(f"The environment variable {self.variable} {self._rule()}.")
        place = f"{self.node.place}: " if self.node is not None else ""
        match self.kind:
            case "unknown_key":
                hint = similar(name, self.context["known"], what="keys")
                return ConfigError(f"{place}unknown key {shown(name)}{at}.", hint=hint)
            case "missing":
                return ConfigError(f"{place}{name} is missing{at}.", hint=f"Add {name}.")
        return ConfigError(f"{place}{name}{at} {self._rule()}{self._not_what()}.")

    def _rule(self) -> str:
        limits = {"ge": "{} or more", "gt": "above {}", "le": "{} or less", "lt": "below {}"}
        match self.kind:
            case (
                "float_type"
                | "float_parsing"
                | "finite_number"
                | "decimal_type"
                | "decimal_parsing"
            ):
                return "must be a number"
            case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
                return "must be a whole number"
            case "string_type" | "path_type":
                return "must be text"
            case "list_type":
                return "must be a list"
            case "string_too_short":
                return "must not be empty"
            case "model_type" | "dict_type" | "model_attributes_type":
                return "must be a mapping (lines of `key: value`)"
            case "literal_error" | "enum":
                return f"must be {self.context['expected']}"
            case _:
                for limit, words in limits.items():
                    if limit in self.context:
                        return f"must be {words.format(f'{self.context[limit]:g}')}"
                return "is not valid"

    def _not_what(self) -> str:
        if self.node is None:
            return ""
        match self.node.content:
            case dict():
                return ", not a mapping"
            case list():
                return ", not a list"
            case str() as written if self.kind not in _NOT_QUOTED:
                return f", not {shown(written)}"
        return ""  # somebody may have put a key where a mapping belongs


_NOT_QUOTED: Final = ("model_type", "list_type", "dict_type", "string_too_short")


def _order(problem: _Problem) -> tuple[int, bool]:
    """From the top of the file; a wrong key before the missing one that it explains."""
    return (problem.line, problem.kind == "missing")
