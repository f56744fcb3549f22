"""Words without what is private, to be read by strangers.

Keys are masked everywhere; here goes, beside them, what says who and where somebody is: the home folder
and the user's name in it, names of servers that are not MiniMax's (proxies, company gateways), private
addresses, e-mail addresses, ids. It is better to lose a harmless word than to keep one that is not: what
looks like a token is taken for one. The name in a certificate stays, since it may be what is wrong.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

from minimax_magic.wire.http import mask

_HIDDEN: Final = "***"
_HOST: Final = "<host>"
_USER: Final = "<user>"
_MAIL: Final = "<e-mail>"
_ID: Final = "<id>"
_PRIVATE_IP: Final = "<private address>"

# Servers that say nothing about who asks them.
_PUBLIC: Final = re.compile(
    r"(?:(?:.+\.)?(?:minimax\.io|minimax\.chat|minimaxi\.chat|minimaxi\.com|minimax\.cn|"
    r"anthropic\.com|openai\.com|pypi\.org|github\.com)|localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)",
    re.IGNORECASE,
)
_NAME: Final = r"[a-z0-9_-]+"
_I: Final = re.IGNORECASE
# scheme, then user, host and port, then the rest
_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.\-]*)://((?:[^\s/?#\"'<>,;)`]*@)?(?:\[[0-9a-f:.]+\]|[^\s/?#\"'<>,;)`\]]*))"
    r"([^\s\"'<>)`]*)",
    _I,
)
_HOST_AND_PORT: Final = re.compile(
    rf"(?<![\w.@/-])((?:{_NAME}\.)*[a-z]{_NAME}):\d{{2,5}}(?![\w:])", _I
)
_DOTTED: Final = re.compile(rf"(?<![\w.@/\\-])[a-z0-9]{_NAME}(?:\.{_NAME})+", _I)
_MAIL_ADDRESS: Final = re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_IP: Final = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:])", _I
)
_HOME: Final = re.compile(
    r"(?:(?:/var|/export|/mnt/[a-z])?/(?:home|Users)/|\b[a-z]:[\\/]+Users[\\/]+)([^\s/\\:;,\"'`)]+)",
    _I,
)
_ROOT_HOME: Final = re.compile(r"(?<![\w/.~-])/root(?=[/\s:,.;)\"'`]|$)")
_SHARE: Final = re.compile(r"\\\\[^\s\\]+\\[^\s\\]+")
_ASSIGNED: Final = re.compile(
    r"\b(\w*(?:password|passwd|secret|token|key)|group_?id)(\s*=\s*|\s*:\s+)"
    r"(?!(?:sk-(?:cp-|api-)?)?\.\.\.)[^\s,;]{6,}",
    _I,
)
_HEADER: Final = re.compile(r"\b(basic|bearer)\s+[A-Za-z0-9_\-.~+/=]{8,}", _I)
_NUMBER: Final = re.compile(r"(?<![\w.])\d{12,}(?![\w.])")
_HEX: Final = re.compile(r"[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4,12}){2,5}", _I)
_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9_\-])[A-Za-z0-9_\-]{16,}=*(?![A-Za-z0-9_\-])")
_LONG: Final = 32
_CASE_CHANGE: Final = re.compile(r"(?=[a-z][A-Z]|[A-Z][a-z])")
_LONE_LETTER: Final = re.compile(r"(?<![a-z])[a-z](?![a-z])")
_ID_LABEL: Final = re.compile(
    r"\bid\b|e-?mail|\b(?:group|user|account|owner|organi[sz]ation)(?: name)?$", _I
)
# Names that many have: to replace them would say nothing and garble the rest.
_COMMON_NAMES: Final = (
    *("root", "user", "users", "home", "admin", "public", "jovyan", "ubuntu", "runner", "vscode"),
    *(
        "shared",
        "minimax",
        "python",
        "aider",
        "jupyter",
        "default",
        "test",
        "docker",
        "colab",
        "none",
    ),
)
_MOST_CHARS: Final = 600
_LEAST_NAME: Final = 3


class Redactor:
    """Takes private words out of lines. What one line gives away is taken out of all.

    Args:
        words: All lines that are going to be shown.
        proxied: Those of them that tell of a proxy: every name of a server in them is private.
        private: What is known to be private, and what stands instead.
    """

    def __init__(
        self,
        words: Iterable[str],
        *,
        proxied: Iterable[str] = (),
        private: Mapping[str, str] | None = None,
    ) -> None:
        everything = "\n".join(map(_cut, words))
        known = {value: instead for value, instead in (private or {}).items() if len(value) >= 2}
        for host in _hosts(everything, "\n".join(map(_cut, proxied))):
            known.setdefault(host, _HOST)
        for home in _HOME.finditer(everything):
            if len(home[1]) >= _LEAST_NAME and home[1].lower() not in _COMMON_NAMES:
                known.setdefault(home[1], _USER)
        self._known = sorted(known.items(), key=lambda pair: len(pair[0]), reverse=True)

    def value(self, label: str, value: str) -> str:
        """What stands behind a label; nothing of it if the label says that it is an id."""
        return _ID if value and _ID_LABEL.search(label) else self.line(value)

    def line(self, words: str) -> str:
        """Words without what is private, and of very many only the first."""
        words = _URL.sub(_bare_url, _cut(words))
        words = _MAIL_ADDRESS.sub(_MAIL, words)
        words = _HEADER.sub(rf"\1 {_HIDDEN}", mask(words))
        words = _ASSIGNED.sub(rf"\1\2{_HIDDEN}", words)
        words = _SHARE.sub(_HOST, words)
        words = _ROOT_HOME.sub("~", _HOME.sub("~", words))
        for value, instead in self._known:
            pattern = rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])"
            words = re.sub(pattern, instead.replace("\\", r"\\"), words, flags=_I)
        words = _IP.sub(_public_ip, words)
        words = _HEX.sub(_HIDDEN, _NUMBER.sub(_ID, words))
        return _TOKEN.sub(_unlike_token, words)


def _cut(words: str) -> str:
    """The words, or so many whole ones that no pattern takes long over them; half a word could be half a
    key, which looks like none."""
    if len(words) <= _MOST_CHARS:
        return words
    return f"{words[:_MOST_CHARS].rpartition(' ')[0]} ...".lstrip()


def _hosts(everything: str, proxied: str) -> Iterable[str]:
    """Names of servers that are nobody's business."""
    for url in _URL.finditer(everything):
        yield from _private_host(_host_of(url[2]))
    for host in _HOST_AND_PORT.finditer(proxied):
        yield from _private_host(host[1])
    for host in _DOTTED.finditer(proxied):
        yield from _private_host(host[0])


def _private_host(host: str) -> Iterable[str]:
    if len(host) >= _LEAST_NAME and not _PUBLIC.fullmatch(host):
        yield host


def _host_of(netloc: str) -> str:
    """Without user, password and port."""
    place = netloc.rpartition("@")[2]
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place.partition(":")[0].rstrip(".")


def _bare_url(url: re.Match[str]) -> str:
    """An address without user, password and query, and without a private host."""
    netloc = url[2].rpartition("@")[2]
    host = _host_of(url[2])
    if host and not _PUBLIC.fullmatch(host):
        netloc = netloc.replace(host, _HOST)
    path = re.split(r"[?#]", url[3])
    return f"{url[1]}://{netloc}{path[0]}{'?...' if len(path) > 1 else ''}"


def _public_ip(address: re.Match[str]) -> str:
    try:
        ip = ipaddress.ip_address(address[0])
    except ValueError:
        return address[0]  # a version, or a time
    private = not ip.is_loopback and not ip.is_unspecified and not ip.is_global
    return _PRIVATE_IP if private else address[0]


def _unlike_token(word: re.Match[str]) -> str:
    """The word, unless it mixes digits, capitals and small letters as tokens do and names do not."""
    found = word[0]
    return _HIDDEN if _is_mixed(found) and not found.startswith("MiniMax-") else found


def _is_mixed(word: str) -> bool:
    kinds = [kind for kind in ("[0-9]", "[A-Z]", "[a-z]") if re.search(kind, word)]
    if "[0-9]" in kinds:
        return len(kinds) == 3 or (len(kinds) == 2 and len(word) >= _LONG)
    # one token of forty has no digit; names change between large and small where a word begins
    changes = len(_CASE_CHANGE.findall(word))
    return len(kinds) == 2 and bool(_LONE_LETTER.search(word) or changes > len(word) * 0.27)
