"""The table of troubles: what people see, why, and what to do.

The doctor's findings, the README's "Troubleshooting" and `notebooks/05_troubleshooting.ipynb` all show
this one table, so a cause or a step is mended here and nowhere else. Causes stand in the order of their
likelihood. A step is one sentence that can be followed as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from minimax_magic.errors import (
    APIConnectionError,
    APIError,
    AuthError,
    BudgetExceeded,
    ConfigError,
    ContentRefused,
    CredentialInvalid,
    CredentialsMissing,
    InsufficientBalance,
    MinimaxError,
    ProtocolError,
    QuotaExceeded,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from minimax_magic.models import DEFAULT_MODEL
from minimax_magic.wire.address import DEFAULT_BASE_URL, resolve_endpoint

_CONSOLE: Final = "https://platform.minimax.io"
_CONSOLES: Final = {
    "minimaxi.com": "https://platform.minimaxi.com",
    "minimax.cn": "https://platform.minimax.cn",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong, as people meet it.

    Attributes:
        name: The same in every version: JSON and tests use it.
        title: What people call it.
        seen: What is printed, by us or by other programs, when it happens; to be found by a search.
            README shows the first three.
        causes: Most likely first.
        steps: What to do, in this order. They may hold `{console}` (the region's platform page),
            `{host}`, `{server}` (scheme and host), `{root}` (the same with what stands before the API's
            own paths), `{base_url}` and `{model}`.
    """

    name: str
    title: str
    seen: tuple[str, ...]
    causes: tuple[str, ...]
    steps: tuple[str, ...]

    def told(
        self,
        *,
        console: str | None = None,
        host: str | None = None,
        root: str | None = None,
        base_url: str | None = None,
        model: str | None = None,
    ) -> Trouble:
        """The same about one server and model. What is not given follows from what is, and is that of
        the global region in the end.

        Args:
            console: Address of the page where keys and credits are.
            host: Name of the API's server.
            root: Its address without the API's own paths.
            base_url: As it is set; what else is not given is taken from it.
        """
        base_url = base_url or root or (f"https://{host}" if host else DEFAULT_BASE_URL)
        root = root or _root(base_url)
        host = host or urlsplit(root).hostname or root
        words = {
            "console": console or _console(host),
            "host": host,
            "server": _server(root),
            "root": root,
            "base_url": base_url,
            "model": model or DEFAULT_MODEL,
        }
        return replace(
            self,
            title=_filled(self.title, words),
            causes=tuple(_filled(cause, words) for cause in self.causes),
            steps=tuple(_filled(step, words) for step in self.steps),
        )


def _root(base_url: str) -> str:
    try:
        return resolve_endpoint(base_url).root
    except ConfigError:  # the trouble may be just that it is none
        return base_url


def _server(root: str) -> str:
    parts = urlsplit(root)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else root


def _console(host: str) -> str:
    for domain, console in _CONSOLES.items():
        if host == domain or host.endswith(f".{domain}"):
            return console
    return _CONSOLE


def _filled(text: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


_LOGIN = "Run `%minimax login` in a notebook, or `python -m minimax_magic login` in a terminal"

TROUBLES: Final[tuple[Trouble, ...]] = (
    Trouble(
        "key_missing",
        "API key not set",
        (
            "No MiniMax login and no API key was found.",
            "ERROR: ANTHROPIC_API_KEY not set in environment",
            "litellm.AuthenticationError: Missing Anthropic API Key - A call is being made to anthropic "
            "but no key is set",
            "No LLM model was specified and no API keys were provided.",
        ),
        (
            "No key was entered yet, or only in another terminal, script or notebook server than this.",
            "The variable was set after the notebook server started, which hands its own to kernels.",
            "The secrets folder lies beside another notebook: it is searched from the working folder.",
        ),
        (
            f"{_LOGIN}, and sign in or paste a key.",
            "If you have no key yet, make one at {console} under API Keys.",
            "For another program ask `%minimax env aider` (or litellm, claude-code, ...) for the lines "
            "that set its variables.",
            "Or start Aider with `python -m minimax_magic aider`, which needs no variable at all.",
        ),
    ),
    Trouble(
        "unauthorized",
        "401 Unauthorized",
        (
            "invalid api key (2049)",
            "login fail: Please carry the API secret key (1004)",
            "The API provider is not able to authenticate you. Check your API key.",
            "cookie is missing, log in again (1004)",
            "The login has ended: its refresh token is not taken any more",
        ),
        (
            "The key is wrong, was deleted, or has expired; or the login has ended.",
            "The key is of another region: those of api.minimax.io are not taken by api.minimaxi.com or "
            "api.minimax.cn, and the other way round.",
            "The key is of the other kind: a Token Plan key (sk-cp-...) and a pay-as-you-go key "
            "(sk-api-...) are not interchangeable.",
            "Another key wins: an old variable or file is found before the one that you mean.",
            "The program sends the key in a header that this server does not read (x-api-key instead of "
            "Authorization: Bearer).",
        ),
        (
            "Look at Credential in `%minimax doctor`: which key is used, and where it is from.",
            "Compare the region: a key made at platform.minimax.io needs base_url https://api.minimax.io,"
            " one made at platform.minimaxi.com needs https://api.minimaxi.com.",
            "Log in at {console}, go to API Keys, and generate a new key.",
            f"{_LOGIN}, and give it the new key, or sign in again.",
            "Put the new key wherever the old one stands: scripts, .env files, variables.",
            "If only another program is refused, let it ask through `python -m minimax_magic gateway`, "
            "which sends the header that MiniMax reads.",
        ),
    ),
    Trouble(
        "forbidden",
        "403 Forbidden, or insufficient balance",
        (
            "insufficient balance (1008)",
            "permission_error",
            "litellm.APIConnectionError: AnthropicException (Aider's words for an empty account)",
        ),
        (
            "The account has a balance of $0.",
            "It lived on the free trial, which ended on 2025-11-07; since then everything is refused.",
            "Credits were bought a moment ago and do not count yet, which takes 2-3 minutes.",
            "The key is a pay-as-you-go key, and the money is in a Token Plan, or the other way round.",
            "The key lacks the right to this model.",
        ),
        (
            "Log in at {console} and look under Balance (Billing): it must be above $0.",
            "Add credits; the smallest amount has been $25.",
            "Wait 2-3 minutes until the credits count.",
            "If you have a Token Plan, use its own key (sk-cp-...) or `%minimax login`.",
            "Run `%minimax doctor` again.",
        ),
    ),
    Trouble(
        "not_found",
        "404 Not Found",
        (
            "404 page not found",
            "<h1>404 Not Found</h1> (nginx)",
            "litellm.NotFoundError: AnthropicException - <html> ... 404 Not Found",
            "Check base_url: there is nothing at https://api.minimax.io/v1/v1/messages.",
        ),
        (
            "The base URL ends in /v1 where a client adds /v1/messages itself, so that /v1/v1/messages "
            "is asked for.",
            "The base URL is that of the other wire: /anthropic before OpenAI's paths, or /v1 before "
            "Anthropic's.",
            "The base URL is a whole endpoint (.../v1/messages), and the client adds its path again.",
            "The server is none of MiniMax: a gateway or a company's server without this route.",
            "The model does not exist there: names are taken as they are written, as in MiniMax-M2.5.",
        ),
        (
            "Set base_url to {server} alone: paths are added by themselves here.",
            "For a program with an Anthropic client (Aider, Claude Code) set ANTHROPIC_BASE_URL to "
            "{root}/anthropic.",
            "For a program with an OpenAI client set OPENAI_BASE_URL to {root}/v1.",
            "Remove ANTHROPIC_API_BASE, or give it the same value.",
            "Write the model's name as MiniMax does, with its capitals: {model}.",
        ),
    ),
    Trouble(
        "unreachable",
        "Connection error, or cannot reach {host}",
        (
            "Cannot reach api.minimax.io",
            "api.minimax.io cannot be reached: Connection refused.",
            "litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.",
            "The name api.minimax.io was not found.",
            "api.minimax.io did not accept a connection within 30 s.",
            "litellm.InternalServerError: AnthropicException - [Errno 111] Connection refused",
        ),
        (
            "There is no connection to the Internet.",
            "A firewall blocks {host}.",
            "A VPN is in the way, or one is needed and is off.",
            "A proxy is needed here and is not set, or one is set that does not exist any more.",
            "The host in base_url is misspelt.",
            "MiniMax's servers are down for the moment.",
            "The server is one of this machine (a gateway, the simulator), and is not running.",
        ),
        (
            "Open {root} in a browser on this machine: any answer, an error too, means that the network "
            "is fine.",
            "Switch off the VPN for a moment and try again.",
            "Ask for {host} to be allowed in the firewall.",
            "Set HTTPS_PROXY if this network has a proxy, or remove it if it has none.",
            "Check the spelling of base_url ({base_url}).",
            "If that is a server of this machine, start it: `python -m minimax_magic gateway`, or "
            "`%minimax simulator`.",
            "Try again in 5-10 minutes.",
        ),
    ),
    Trouble(
        "silent",
        "{host} does not answer",
        (
            "api.minimax.io sent nothing for 120 s.",
            "api.minimax.io did not finish its answer within 40 s.",
            "api.minimax.io closed the connection without an answer.",
        ),
        (
            "The server is overloaded, or has a fault.",
            "A proxy, firewall or virus scanner holds the request or its answer back.",
            "Another program answers at this port, if the server is one of this machine.",
        ),
        (
            "Try again in 5-10 minutes.",
            "Switch off the VPN or the virus scanner's web filter for a moment and try again.",
            "Go around the proxy: add {host} to NO_PROXY.",
            "Check host and port in base_url ({base_url}).",
        ),
    ),
    Trouble(
        "tls",
        "TLS: the secure connection fails",
        (
            "The secure connection to api.minimax.io failed",
            "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate",
            "self-signed certificate in certificate chain",
            "certificate is not yet valid",
        ),
        (
            "A company proxy or a virus scanner opens connections, and signs them with a certificate of "
            "its own that Python does not know.",
            "This Python has no certificates (one from python.org on a Mac, or a bare container).",
            "This machine's clock is wrong, so that a good certificate seems to be over or not begun.",
            "The network has a login page (hotel, train) that answers in MiniMax's place.",
        ),
        (
            "Look at TLS in `%minimax doctor`: a company's name as issuer means such a proxy.",
            "Ask for the company's root certificate as a PEM file and set SSL_CERT_FILE to its path.",
            "For Aider set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to that same path.",
            "On a Mac run `Install Certificates.command` of the Python folder in Applications.",
            "Check date and time of this machine.",
            "Start the kernel again: certificates are read once.",
        ),
    ),
    Trouble(
        "proxy",
        "The proxy does not answer or refuses",
        (
            "The proxy on the way to api.minimax.io did not answer.",
            "HTTPS_PROXY names a socks5 proxy, which is not supported.",
            "407 Proxy Authentication Required",
        ),
        (
            "HTTPS_PROXY names a proxy that is not running, often one of another network or VPN.",
            "The proxy wants a user and a password, or refuses this host.",
            "The proxy is a SOCKS proxy, and only http proxies can be used here.",
            "The system's settings name a proxy although no variable does (Windows, Mac).",
        ),
        (
            "Look at Proxy in `%minimax doctor`: which one is used.",
            "If this network needs none, remove HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.",
            "If it needs one, set HTTPS_PROXY to `http://USER:PASSWORD@HOST:PORT`.",
            "To go around it for MiniMax alone, add {host} to NO_PROXY.",
            "Start the notebook server again, so that kernels get the new variables.",
        ),
    ),
    Trouble(
        "clock_skew",
        "This machine's clock is wrong",
        (
            "The clock of this machine is 9 minutes behind the server's.",
            "certificate is not yet valid",
        ),
        (
            "The machine does not set its clock from the network, or slept for long (a laptop, WSL, a "
            "virtual machine).",
            "The time was set by hand, in another time zone.",
        ),
        (
            "Switch on setting the time automatically (Linux: `sudo timedatectl set-ntp true`).",
            "In WSL run `sudo hwclock -s`, or `wsl --shutdown` in Windows and start again.",
            "Restart the kernel, so that a login's times are counted anew.",
        ),
    ),
    Trouble(
        "rate_limited",
        "429 Too Many Requests",
        (
            "rate limit (1002)",
            "token limit (1039)",
            "The API provider has rate limited you. Try again later or check your quotas.",
            "conn limit (1041)",
            "rate growth limit (2045)",
        ),
        (
            "More requests or tokens per minute than the account may send.",
            "Several notebooks, kernels or programs share one key.",
            "The number of requests grew too suddenly (2045).",
        ),
        (
            "Wait a minute and try again: the limit counts by the minute.",
            "Lower `requests_per_second` in config/llm.yaml.",
            "Stop other programs that use the same key, or give each its own.",
            "Look at {console} for the limits of your account, which grow with what was paid.",
        ),
    ),
    Trouble(
        "quota_exceeded",
        "The plan's quota is used up",
        (
            "usage limit exceeded, 5-hour usage limit reached for Token Plan Starter (2056)",
            "quota exhausted (1028, 1030)",
        ),
        (
            "The Token Plan's allowance for the current window (5 hours, or the week) is used up.",
            "Another program uses the same plan: a coding agent needs many requests for one task.",
        ),
        (
            "Wait until the window resets, at the time that the message and `%minimax usage` name: "
            "trying again before does not help.",
            "Stop other programs that use the same plan.",
            "Use a pay-as-you-go key until then: it does not count against the plan.",
            "Choose a larger plan at {console} if this happens every day.",
        ),
    ),
    Trouble(
        "plan_model",
        "The plan does not include this model",
        ("model not available on your Token Plan (2061)",),
        (
            "The model is newer than the plan, or belongs to a larger one.",
            "A highspeed model is asked for, and the plan has only ordinary ones.",
        ),
        (
            "Choose another model: `--model {model}`, or `model` in config/llm.yaml.",
            "Look at {console} which models your plan includes.",
            "Use a pay-as-you-go key for this model.",
        ),
    ),
    Trouble(
        "overloaded",
        "MiniMax is overloaded (529) or has a fault (5xx)",
        (
            "MiniMax is overloaded: api.minimax.io answered 529",
            "server cluster is currently under high load",
            "The API provider's servers are down or overloaded.",
            "unknown error (1000)",
        ),
        (
            "MiniMax's servers are overloaded for the moment.",
            "They have a fault, of this model or altogether.",
            "The model is not open to this key: some such requests are answered with 500.",
        ),
        (
            "Try again in 5-10 minutes.",
            "Try another model, for instance `--model MiniMax-M2.5`.",
            "If other programs work meanwhile, send the request id of the message to MiniMax's support.",
        ),
    ),
    Trouble(
        "content_refused",
        "The content is refused as sensitive",
        ("input new_sensitive (1026)", "output new_sensitive (1027)"),
        (
            "The prompt, a file or an image in it was found sensitive (1026).",
            "The answer was found sensitive and is withheld (1027).",
        ),
        (
            "Ask in other words.",
            "Leave out parts of the context one by one until it is taken.",
        ),
    ),
    Trouble(
        "request_rejected",
        "400: the request itself is refused",
        (
            "invalid params (2013)",
            "tool id not found (2013)",
            "invisible character ratio limit (1042)",
            "413 request too large",
        ),
        (
            "An option has a value that this model does not take.",
            "The prompt is too long for the model, or the request is above 64 MB.",
            "A conversation lost a part: a tool's answer without its call, or the contrary (2013).",
            "The prompt holds too many invisible characters (1042).",
        ),
        (
            "Read the server's words in the message: they name what it does not take.",
            "Leave options out (`--temperature`, `--max-tokens`) and try again.",
            "Begin the conversation anew with `--new`, or take back its last turn: "
            "`%minimax forget --last`.",
            "Write the model's name as MiniMax does, with its capitals: {model}.",
        ),
    ),
    Trouble(
        "wrong_wire",
        "Base URL of the other wire",
        (
            "litellm.NotFoundError: AnthropicException - <html> ... 404 Not Found",
            "ANTHROPIC_API_BASE=https://api.minimax.io/v1",
            "/v1/v1/messages",
            "litellm.NotFoundError: NotFoundError: OpenAIException - <html> ... 404 Not Found",
            "/anthropic/v1/chat/completions",
        ),
        (
            "A model of the form anthropic/... gets OpenAI's base URL, which ends in /v1: then "
            "/v1/v1/messages is asked for, which does not exist. The value is at fault, not the name of "
            "the variable.",
            "An OpenAI client gets the base URL that ends in /anthropic.",
            "MINIMAX_API_BASE is shared by both wires of LiteLLM: what fits its chat route breaks its "
            "messages route.",
        ),
        (
            "For models of the form anthropic/{model} set ANTHROPIC_BASE_URL to {root}/anthropic.",
            "For models of the form openai/{model} set OPENAI_API_BASE to {root}/v1.",
            "For models of the form minimax/{model} remove MINIMAX_API_BASE, or set it to {root}/v1.",
            "Ask `%minimax env aider` (or litellm, claude-code, ...) for the lines that work.",
        ),
    ),
    Trouble(
        "base_url_conflict",
        "ANTHROPIC_API_BASE beats ANTHROPIC_BASE_URL",
        ("litellm.NotFoundError: AnthropicException, although ANTHROPIC_BASE_URL is right",),
        (
            "Both variables are set, and Aider and LiteLLM take ANTHROPIC_API_BASE; Anthropic's SDK and "
            "Claude Code read only ANTHROPIC_BASE_URL.",
            "ANTHROPIC_API_BASE was left over from an earlier attempt, in a script, a .env file or the "
            "system's settings.",
        ),
        (
            "Remove ANTHROPIC_API_BASE: `unset ANTHROPIC_API_BASE` (sh), `set ANTHROPIC_API_BASE=` "
            "(cmd), `Remove-Item Env:ANTHROPIC_API_BASE` (PowerShell).",
            "Look for it in .env, the shell's start files, and on Windows in the system's variables.",
            "Set ANTHROPIC_BASE_URL to {root}/anthropic.",
            "Or start Aider with `python -m minimax_magic aider`, which leaves such variables out.",
        ),
    ),
    Trouble(
        "base_url_missing",
        "The program asks its own maker",
        (
            "ANTHROPIC_BASE_URL is not set, so requests go to api.anthropic.com",
            "OPENAI_BASE_URL is not set, so requests go to api.openai.com",
            "Incorrect API key provided",
            "invalid x-api-key",
        ),
        (
            "No variable names MiniMax's address, so that the program asks the server that it was made "
            "for.",
            "The variable was set in another terminal, or has another name than the program reads.",
        ),
        (
            "For an Anthropic client (Claude Code, the SDK) set ANTHROPIC_BASE_URL to {root}/anthropic.",
            "For an OpenAI client set OPENAI_BASE_URL to {root}/v1, for LiteLLM's minimax/... "
            "MINIMAX_API_BASE.",
            "Ask `%minimax env claude-code` (or openai-sdk, ...) for all the lines that it needs.",
        ),
    ),
    Trouble(
        "stale_token",
        "ANTHROPIC_AUTH_TOKEN is left over",
        ("invalid api key (2049), although ANTHROPIC_API_KEY is right",),
        (
            "ANTHROPIC_AUTH_TOKEN holds an old token, which some programs send as Bearer instead of, or "
            "beside, the key in ANTHROPIC_API_KEY.",
            "It was set for another service (a gateway, Claude's own login).",
        ),
        (
            "Remove it: `unset ANTHROPIC_AUTH_TOKEN` (sh), `set ANTHROPIC_AUTH_TOKEN=` (cmd), "
            "`Remove-Item Env:ANTHROPIC_AUTH_TOKEN` (PowerShell).",
            "For Claude Code, which reads it first, set it to the same key instead.",
            "Ask `%minimax env claude-code` (or aider, ...) for the lines that work.",
        ),
    ),
    Trouble(
        "missing_model",
        "No model is named (Aider without --model)",
        (
            "Using sonnet model with API key from environment.",
            "No LLM model was specified and no API keys were provided.",
            "litellm.BadRequestError: LLM Provider NOT provided.",
        ),
        (
            "Aider is started without `--model` and picks one by the keys that it finds, which MiniMax "
            "does not have.",
            "The model is named without `anthropic/` before it, so that LiteLLM does not know which "
            "wire to speak, or takes OpenAI's.",
            "Claude Code has no ANTHROPIC_MODEL, or llm no LLM_MODEL: each asks for its own choice.",
        ),
        (
            "Start it with `aider --model anthropic/{model}`.",
            "Or with `python -m minimax_magic aider`, which names the model by itself.",
            "Correct the script that starts it: `%minimax write-script aider` writes one.",
            "For Claude Code set ANTHROPIC_MODEL to {model}, for llm LLM_MODEL.",
        ),
    ),
    Trouble(
        "aider_fails",
        "The test works, but Aider fails",
        (
            "litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.",
            "The API provider's servers are down or overloaded.",
            "Retrying in 0.2 seconds...",
        ),
        (
            "Aider asks another address than the test: its base URL is wrong, or ANTHROPIC_API_BASE "
            "beats ANTHROPIC_BASE_URL.",
            "Aider is started without `--model anthropic/{model}`.",
            "Aider uses another key: the ANTHROPIC_API_KEY of an old script or a .env file, or that of "
            "~/.aider.conf.yml.",
            "It is no fault of the connection: LiteLLM calls an empty account a connection error, and a "
            "wrong address a server that is down, and Aider tries again for long.",
        ),
        (
            "Start it with `python -m minimax_magic aider`, which sets and removes what is needed.",
            "Run `%minimax doctor --for aider`, which names the address, key and model that Aider uses.",
            "Remove ANTHROPIC_API_BASE and set ANTHROPIC_BASE_URL to {root}/anthropic.",
            "Look into .env and .aider.conf.yml of the project and of the home folder, which Aider "
            "reads.",
        ),
    ),
    Trouble(
        "aider_missing",
        "Aider is not installed",
        ("Aider is not installed.", "aider: command not found", "No module named aider"),
        (
            "Aider is not installed, or in another environment than the one that starts it.",
            "This Python is too new for Aider: it needs 3.10, 3.11 or 3.12.",
        ),
        (
            "Install it into an environment of its own: `uv tool install --python 3.12 aider-chat`, or "
            "`pipx install aider-chat`.",
            "Or with a Python before 3.13: `python -m pip install aider-chat`.",
            "Open a new terminal, so that PATH is read again.",
        ),
    ),
    Trouble(
        "stream_broken",
        "Streaming does not work",
        (
            "The connection to api.minimax.io broke in the middle of the answer.",
            "The answer ended in the middle: the server closed it without finishing it.",
            "The answer came in one lump",
        ),
        (
            "A proxy, firewall or virus scanner collects the answer and passes it on only at its end.",
            "The connection breaks when it is silent for long: a VPN or a proxy with a short limit.",
            "The server ended the answer too early, because it is overloaded.",
        ),
        (
            "Try again once: a single break means nothing.",
            "Switch off the VPN for a moment and try again.",
            "Go around the proxy: add {host} to NO_PROXY.",
            "If you run JupyterHub or nginx in front of a gateway, switch off its buffering "
            "(`proxy_buffering off`).",
            "Use `--no-stream` until it is mended.",
        ),
    ),
    Trouble(
        "no_answer",
        "Something else answers in the API's place",
        (
            "answered with text/html instead of an answer",
            "answered with a redirect (307)",
            "answered 403, but not as the API does",
            "MiniMax returned no choices",
        ),
        (
            "Something else answers in MiniMax's place: a login page of the network, or a proxy's page.",
            "The base_url leads to a web page and not to the API.",
            "The base_url is an old address, which only leads on to another.",
        ),
        (
            "Open any page in a browser, and sign in to the network if it asks for that.",
            "Set base_url to {root}.",
            "Switch off the VPN for a moment and try again.",
        ),
    ),
    Trouble(
        "empty_answer",
        "The answer is empty",
        ("answered without any text", "The stream brought no text."),
        (
            "The answer had no room: thinking used up a small `--max-tokens`.",
            "The model had nothing to say, which happens now and then.",
        ),
        (
            "Ask again.",
            "Raise `--max-tokens`, or leave it out.",
            "Try another model, for instance `--model MiniMax-M2.5`.",
        ),
    ),
    Trouble(
        "sign_in",
        "The sign-in does not come to its end",
        (
            "Nobody approved the sign-in within 5 minutes.",
            "The sign-in was declined on the consent page.",
            "The code is not valid any more.",
            "offers no sign-in",
        ),
        (
            "The code was not approved in time.",
            "It was approved in an account of another region.",
            "The account has no Token Plan, and the consent page was left.",
            "The server of base_url has no sign-in: gateways know only keys.",
        ),
        (
            f"{_LOGIN}, and approve the new code at once.",
            "Choose the region of your account: global for {console}, china for the Chinese one.",
            "Without a Token Plan give an API key instead of signing in.",
        ),
    ),
    Trouble(
        "config_invalid",
        "A file or a variable is wrong",
        (
            "config/llm.yaml, line 4",
            "env var MINIMAX_API_KEY not set",
            "cannot be read: permission denied",
        ),
        (
            "A typing error in config/llm.yaml, or in a variable that begins with MINIMAX_.",
            "A key stands in base_url or in another place where none belongs.",
            "The login is for another server than base_url names.",
            "The file cannot be read by this user.",
        ),
        (
            "Go to the file and line that the message names, and correct it.",
            "Or move the file away, and let `%minimax setup` write a new one.",
            "If a variable is named, correct or remove it, and start the notebook server again.",
        ),
    ),
    Trouble(
        "key_unusable",
        "The key cannot be one",
        ("The API key from environment MINIMAX_API_KEY is empty.",),
        (
            "Something was copied with the key: quotes, a line break, `Bearer`, or only a part of it.",
            "The place holder is still there (your_minimax_api_key_here).",
            "The file or variable is there, but empty.",
        ),
        (
            "Copy the key again at {console}, without anything around it.",
            f"{_LOGIN}, and paste it.",
            "Remove the variable or file that the message names, if another one is meant.",
        ),
    ),
    Trouble(
        "bundle_damaged",
        "The login's file is damaged",
        ("secrets/minimax_token_plan.json is damaged",),
        (
            "The file was edited, or cut off while it was copied.",
            "It is a file of another program.",
        ),
        (
            f"{_LOGIN}, and sign in again: that writes a new one.",
            "To use a key meanwhile, run `%minimax logout`, which deletes the file.",
        ),
    ),
    Trouble(
        "bundle_permissions",
        "The login's file has wrong permissions",
        (
            "can be read by every user of this machine",
            "cannot be locked: permission denied",
            "cannot be written: read-only file system",
        ),
        (
            "Others on this machine may read the file: it was copied, or made by another program.",
            "The folder is not writable, so that a renewed token cannot be kept.",
            "The file belongs to another user (made with sudo, or in a container).",
        ),
        (
            "Run `chmod 600` on the file that the message names, and `chmod 700` on its folder.",
            "If it belongs to another user, run `sudo chown $USER` on both.",
            f"Or keep the login elsewhere: {_LOGIN[0].lower()}{_LOGIN[1:]}, with `--user`.",
        ),
    ),
    Trouble(
        "budget_exceeded",
        "The budget is used up",
        ("This could cost up to $0.09", "No price is known for"),
        (
            "What `budget` in config/llm.yaml allows for a cell, kernel, day or month is spent.",
            "The request could cost more than what is left, because `--max-tokens` is large.",
            "The model has no known price, so that no budget can be kept.",
        ),
        (
            "Look with `%minimax usage` what was spent.",
            "Raise the limit under `budget` in config/llm.yaml.",
            "Or ask for less: a smaller `--max-tokens`, or a cheaper model.",
            "If the model has no known price, add it under `prices` in config/llm.yaml.",
        ),
    ),
    Trouble(
        "versions",
        "Something is too old",
        ("Too old: aiohttp 3.9.5 (at least 3.11)", "Error displaying widget: model not found"),
        (
            "Python, or a package that is needed, is older than this program wants.",
            "The page in the browser is older than the package: it was open while that was updated.",
        ),
        (
            "Update: `python -m pip install -U minimax-magic`.",
            "Start the kernel again, and load the page anew in the browser.",
            "Update what `%minimax doctor` names under Versions.",
        ),
    ),
)

_BY_NAME: Final = {one.name: one for one in TROUBLES}


def trouble(name: str) -> Trouble:
    """The trouble of that name; a `KeyError` means an error in our own program."""
    return _BY_NAME[name]


def trouble_of(error: MinimaxError) -> str | None:
    """Name of the trouble that an error of ours stands for; None if the table has nothing on it."""
    if error.code is not None and (name := _OF_CODE.get(error.code)):
        return name
    match error:
        case CredentialsMissing():
            return "key_missing"
        case CredentialInvalid():
            return "unauthorized"
        case AuthError():
            return "sign_in"
        case InsufficientBalance():
            return "forbidden"
        case QuotaExceeded():
            return "quota_exceeded"
        case RateLimitError():
            return "rate_limited"
        case ServerError():
            return "overloaded"
        case ContentRefused():
            return "content_refused"
        case APIError():
            return _OF_STATUS.get(error.status or 0, _of_other_status(error.status or 0))
        case APIConnectionError():
            return _of_words(error.message, _CONNECTION) or "unreachable"
        case StreamInterrupted():
            return _OF_REASON[error.reason]
        case ProtocolError():
            return "no_answer"
        case ConfigError():
            return _of_words(error.message, _CONFIG) or "config_invalid"
        case BudgetExceeded():
            return "budget_exceeded"
        case _:
            return None


_OF_CODE: Final = {
    1004: "unauthorized",
    2049: "unauthorized",
    1008: "forbidden",
    1002: "rate_limited",
    1039: "rate_limited",
    1041: "rate_limited",
    2045: "rate_limited",
    1028: "quota_exceeded",
    1030: "quota_exceeded",
    2056: "quota_exceeded",
    1026: "content_refused",
    1027: "content_refused",
    2061: "plan_model",
}
_OF_STATUS: Final = {403: "forbidden", 404: "not_found", 405: "not_found", 407: "proxy"}
_OF_REASON: Final[dict[str, str | None]] = {
    "cancelled": None,
    "timeout": "stream_broken",
    "disconnected": "stream_broken",
    "truncated": "stream_broken",
    "server_error": "overloaded",
}

# An error of the connection or of a setting is told apart by its words alone: `transport`, `config` and
# `auth` make one class of all of them. Their tests keep the words as they are here.
_CONNECTION: Final = (
    ("The secure connection", "tls"),
    ("The proxy on the way", "proxy"),
    ("in the middle of the answer", "stream_broken"),
    (" sent nothing", "silent"),
    (" did not finish its answer", "silent"),
    (" without an answer", "silent"),
    ("The connection to ", "silent"),
    ("is not usable", "config_invalid"),
)
_CONFIG: Final = (
    ("_PROXY names a", "proxy"),
    ("The API key from", "key_unusable"),
    ("The ledger", "config_invalid"),
    ("Aider is not installed", "aider_missing"),
    ("Aider does not reach", "missing_model"),
    ("is not a model of MiniMax", "missing_model"),
    (" is damaged: ", "bundle_damaged"),
    (" cannot be locked", "bundle_permissions"),
    (" cannot be written", "bundle_permissions"),
)


def _of_words(message: str, table: tuple[tuple[str, str], ...]) -> str | None:
    return next((name for words, name in table if words in message), None)


def _of_other_status(status: int) -> str:
    return "no_answer" if 300 <= status < 400 else "request_rejected"
