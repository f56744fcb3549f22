"""`python -m minimax_magic.simulator`: serve until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import sys
from decimal import Decimal, InvalidOperation

from minimax_magic.simulator import choose
from minimax_magic.simulator.app import PAID_KEY
from minimax_magic.simulator.prompt_words import NAMES, read_words
from minimax_magic.simulator.server import DEFAULT_KEY, Simulator

# a balance belongs to a key that pays as it goes
DEFAULT_PAID_KEY = f"{PAID_KEY}simulated"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m minimax_magic.simulator",
        description="A local server that speaks MiniMax's API. No model, no cost.",
        epilog=choose.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (the default)")
    parser.add_argument(
        "--key",
        help=f"the key to accept (default: {DEFAULT_KEY}); sk-api-... is one that pays as it goes",
    )
    parser.add_argument(
        "--delay-ms", type=float, default=15.0, help="between two chunks (default: 15)"
    )
    parser.add_argument(
        "--x-api-key", action="store_true", help="accept the key in X-Api-Key too (Anthropic wire)"
    )
    parser.add_argument(
        "--token-lifetime-s",
        type=float,
        default=900.0,
        help="how long an access token lasts after a login (default: 900)",
    )
    parser.add_argument(
        "--always",
        type=_words,
        metavar="WORDS",
        help="words as below that count for every prompt: '[[error 1008]]', '[[silence]]'",
    )
    parser.add_argument(
        "--balance",
        type=_dollars,
        metavar="USD",
        help="what the key that pays as it goes has left; with 0 it is refused with 1008",
    )
    parser.add_argument(
        "--quota-left",
        type=_percent,
        metavar="PERCENT",
        help="what the plan has left for 5 hours; with 0 it is refused with 2056",
    )
    return parser


def _words(text: str) -> str:
    words = read_words(text)
    unknown = sorted(words.given.keys() - NAMES)
    if unknown or not (words.given or words.echo is not None):
        raise argparse.ArgumentTypeError(
            f"{text!r} has no words in double brackets that are in the table of --help"
        )
    return text


def _dollars(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in dollars: 0 or 12.50")
    return amount


def _percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 100")
    return int(text)


def _key(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The key that fits what is said of the account."""
    if options.balance is not None and options.quota_left is not None:
        parser.error("--balance is of a key that pays as it goes, --quota-left of a plan: give one")
    if options.key is None:
        return DEFAULT_KEY if options.balance is None else DEFAULT_PAID_KEY
    key = str(options.key)
    if options.balance is not None and not key.startswith(PAID_KEY):
        parser.error(f"--balance needs a key that begins with {PAID_KEY}")
    if options.quota_left is not None and key.startswith(PAID_KEY):
        parser.error(f"--quota-left needs a key that does not begin with {PAID_KEY}")
    return key


async def _serve(simulator: Simulator) -> None:
    async with simulator as sim:
        print(
            f"MiniMax simulator on {sim.url}; point the magic at it with "
            f"MINIMAX_BASE_URL={sim.url} MINIMAX_CODE_PLAN_KEY={sim.key}",
            f"or without a key: MINIMAX_BASE_URL={sim.url} and then %minimax login",
            *([f"every prompt is answered as if it had {sim.always}"] if sim.always else ()),
            sep="\n",
            flush=True,
        )
        await asyncio.Event().wait()


def main(argv: list[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    simulator = Simulator(
        host=options.host,
        port=options.port,
        key=_key(parser, options),
        delay_s=max(0.0, options.delay_ms) / 1000,
        accept_x_api_key=options.x_api_key,
    )
    simulator.always = options.always
    simulator.account.access_token_lifetime_s = options.token_lifetime_s
    simulator.account.available_amount = options.balance
    simulator.account.remaining_percent = options.quota_left
    try:
        asyncio.run(_serve(simulator))
    except KeyboardInterrupt:
        return 0
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"cannot listen on {options.host}:{options.port}: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
