"""What one cell asks, and the request that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from minimax_magic.chats import Chats, check_fits, trimmed
from minimax_magic.config import AgentConfig, CacheMode, Settings
from minimax_magic.errors import ConfigError
from minimax_magic.messages import (
    Block,
    ChatOptions,
    ChatRequest,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingMode,
    make_request,
)
from minimax_magic.models import model_info
from minimax_magic.usage.meter import Purpose
from minimax_magic.usage.rows import Label
from minimax_magic.wire.codec import check_images

if TYPE_CHECKING:  # only cells that use them wait for these to be imported
    from minimax_magic.context.pieces import Piece
    from minimax_magic.structured import OutputType
    from minimax_magic.tools.functions import ToolFunction


@dataclass(frozen=True, slots=True)
class Ask:
    """What one cell wants. None everywhere: as configured.

    Attributes:
        chat: Name of the conversation to go on with; None: the cell stands alone.
        new: Begin that conversation anew.
        whole: Ask for the answer in one piece instead of streaming it.
        instruction: Added to the system prompt, for an output format.
        budget: US dollars that this cell may cost at most.
        notebook, kernel, cell: Where it is asked, for the ledger.
        tools: Names of tools; None: those of the agent.
        find_tool: Gives the function of a name; None: there are none.
        images: Go before the prompt.
        context: Data that goes behind it.
        output: What the answer must be; None: text.
        repair: How often an answer that is not is sent back.
        fork: Name of the conversation to begin with a copy of.
        trim: Leave out the oldest turns of a conversation that is too long.
        cache, cache_file: Where answers are recorded and replayed.
    """

    prompt: str
    model: str | None = None
    agent: str | None = None
    flavor: str | None = None
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    thinking: str | None = None
    chat: str | None = None
    new: bool = False
    whole: bool = False
    instruction: str = ""
    budget: Decimal | None = None
    notebook: str | None = None
    kernel: str | None = None
    cell: str | None = None
    tools: tuple[str, ...] | None = None
    find_tool: Callable[[str], ToolFunction] | None = None
    max_steps: int | None = None
    images: tuple[ImageBlock, ...] = ()
    context: tuple[Piece, ...] = ()
    output: OutputType | None = None
    repair: int | None = None
    fork: str | None = None
    trim: bool = False
    cache: CacheMode | None = None
    cache_file: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a cell asks for, put together.

    Attributes:
        request: With its tools.
        bare: The same without those that are run here.
    """

    request: ChatRequest
    bare: ChatRequest
    functions: tuple[ToolFunction, ...]
    max_steps: int | None
    notices: tuple[str, ...]


def make_draft(chats: Chats, ask: Ask, settings: Settings) -> Draft:
    """Everything that is known before a credential is.

    Raises:
        ConfigError: The prompt is empty, too long for the model, or not for it; an option is wrong; a
            chat or a tool is not there.
    """
    if not ask.prompt.strip():
        raise ConfigError("The prompt is empty.", hint="Write it below the %%minimax line.")
    if ask.cache_file is not None and (ask.cache or settings.cache) == "off":
        raise ConfigError(
            "--cache-file names a file, but answers are neither recorded nor replayed.",
            hint="Add `--cache record` or `--cache replay`.",
        )
    agent = settings.agent(ask.agent) if ask.agent else None
    options = _options(ask, agent)
    prompt = _prompt(ask, options.get("model") or settings.model)
    bare = make_request([*_history(chats, ask), prompt], options, default_model=settings.model)
    names = ask.tools if ask.tools is not None else agent.tools if agent is not None else ()
    functions = tuple(map(_finder(ask, agent), names))
    steps = ask.max_steps if ask.max_steps is not None else agent.max_steps if agent else None
    request = bare
    if functions or ask.output is not None:
        from minimax_magic.client.conversation import with_tools

        request = with_tools(bare, functions, ask.output)
    check_images(request)
    notices: tuple[str, ...] = ()
    if ask.trim:
        request, dropped = trimmed(request)
        if dropped:
            bare = bare.model_copy(update={"messages": request.messages})
            oldest = "oldest turn" if dropped == 1 else f"{dropped:,} oldest turns"
            were = "was" if dropped == 1 else "were"
            notices = (f"the {oldest} of the chat {were} left out.",)
    check_fits(request, chat=ask.chat)
    return Draft(request, bare, functions, steps, notices)


def _history(chats: Chats, ask: Ask) -> tuple[Message, ...]:
    if ask.fork is not None:
        history = chats.existing(ask.fork)
        if ask.chat is None:
            raise ConfigError(
                "--fork begins a conversation, which needs a name.", hint="Add `--chat NAME`."
            )
        if ask.chat in chats and not ask.new:
            raise ConfigError(
                f"There is a chat {ask.chat} already.", hint="Add `--new` to begin it anew."
            )
        return history
    if ask.new or ask.chat is None:
        return ()
    return chats.get(ask.chat, ())


def _prompt(ask: Ask, model: str) -> Message:
    """What the person says: images first, where models look first, then the words, then the data.

    The picture of a figure goes along with what is told of it, unless the model is known not to see.
    """
    info = model_info(model)
    pictures = [piece.image for piece in ask.context if piece.image is not None]
    seen = pictures if info is None or info.vision else []
    blocks: tuple[Block, ...] = (*ask.images, *seen, TextBlock(text=ask.prompt))
    if ask.context:
        from minimax_magic.context.pieces import context_text

        blocks = (*blocks, TextBlock(text=context_text(ask.context)))
    return Message(role="user", content=blocks)


def _finder(ask: Ask, agent: AgentConfig | None) -> Callable[[str], ToolFunction]:
    """What finds a tool. Of one that only the agent's file names, an error says so."""

    def find(name: str) -> ToolFunction:
        try:
            if ask.find_tool is None:
                raise ConfigError(f"There is no tool {name}.", hint="Tools need a notebook's cell.")
            return ask.find_tool(name)
        except ConfigError as error:
            if ask.tools is None and agent is not None:
                error.message = f"{error.message.rstrip('.')} (a tool of {agent.place})."
            raise

    return find


def purpose_of(ask: Ask, settings: Settings) -> Purpose:
    """Whom it is for, prices and budget."""
    budget = settings.budget
    if ask.budget is not None:
        budget = budget.model_copy(update={"cell": ask.budget})
    label = Label(ask.agent, ask.chat, ask.notebook, ask.kernel, ask.cell)
    return Purpose(label, settings.prices, budget)


def _options(ask: Ask, agent: AgentConfig | None) -> ChatOptions:
    """The options of a cell over those of its agent; what neither says is left out."""
    given: dict[str, Any] = {}
    if agent is not None:
        given = {
            "model": agent.model,
            "system": agent.system_prompt,
            "temperature": agent.temperature,
            "top_p": agent.top_p,
            "max_tokens": agent.max_tokens,
        }
    own = {
        "model": ask.model,
        "system": ask.system,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "max_tokens": ask.max_tokens,
        "thinking": cast("ThinkingMode | None", ask.thinking),
    }
    merged = _said(given) | _said(own)
    if ask.instruction:
        merged["system"] = "\n\n".join(filter(None, (merged.get("system"), ask.instruction)))
    return cast("ChatOptions", merged)


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
