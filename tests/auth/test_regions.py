"""Where one signs in, and who may be sent the token."""

from __future__ import annotations

import pytest

from minimax_magic.auth.regions import consent_page, redirect_target, resolve_region
from minimax_magic.errors import ConfigError

GLOBAL, CHINA = "https://account.minimax.io", "https://account.minimaxi.com"
CHINA_2 = "https://account.minimax.cn"
LOCAL = "http://127.0.0.1:8765"


@pytest.mark.parametrize(
    ("written", "name", "root", "account"),
    [
        ("global", "Global", "https://api.minimax.io", GLOBAL),
        (" China ", "China", "https://api.minimaxi.com", CHINA),
        ("https://api.minimax.io", "Global", "https://api.minimax.io", GLOBAL),
        ("https://api.minimax.io/anthropic", "Global", "https://api.minimax.io", GLOBAL),
        ("api.minimax.io/v1/", "Global", "https://api.minimax.io", GLOBAL),
        ("https://API.MiniMax.io", "Global", "https://API.MiniMax.io", GLOBAL),
        ("https://api.minimax.chat/v1", "Global", "https://api.minimax.chat", GLOBAL),
        ("https://api.minimaxi.chat", "Global", "https://api.minimaxi.chat", GLOBAL),
        ("https://api.minimaxi.com/anthropic", "China", "https://api.minimaxi.com", CHINA),
        ("https://api.minimax.cn", "China", "https://api.minimax.cn", CHINA_2),
    ],
)
def test_a_known_region_has_an_account_host(
    written: str, name: str, root: str, account: str
) -> None:
    """On MiniMax's own hosts one signs in at the account host of their family, the first of those
    that may answer."""
    region = resolve_region(written)
    assert (region.name, region.root, region.accounts[0]) == (name, root, account)
    assert set(region.accounts) == ({GLOBAL} if name == "Global" else {CHINA, CHINA_2})
    assert region.code_url == f"{account}/oauth2/device/code"
    assert region.token_url == f"{account}/oauth2/token"


@pytest.mark.parametrize(
    ("written", "root"),
    [
        (LOCAL, LOCAL),
        ("localhost:8765", "http://localhost:8765"),
        ("https://gateway.example/minimax/anthropic", "https://gateway.example/minimax"),
        ("https://evilminimax.io", "https://evilminimax.io"),
        ("https://api.minimax.io.evil.example", "https://api.minimax.io.evil.example"),
    ],
)
def test_any_other_region_has_the_endpoints_of_the_reference_page(written: str, root: str) -> None:
    """A gateway or simulator serves `oauth/code` and `oauth/token` below its root."""
    region = resolve_region(written)
    assert (region.root, region.accounts, region.domains) == (root, (root,), ())
    assert region.code_url == f"{root}/oauth/code"
    assert region.token_url == f"{root}/oauth/token"


def test_configured_endpoints_win() -> None:
    """MiniMax's old addresses can be set; redirects still go to the account host alone."""
    old = "https://api.minimax.io/oauth"
    region = resolve_region("global", code_endpoint=f"{old}/code", token_endpoint=f"{old}/token")
    assert (region.code_url, region.token_url) == (f"{old}/code", f"{old}/token")
    assert region.accounts == (GLOBAL,)


@pytest.mark.parametrize("written", ["", "mars and venus", "ftp://x.example", "http://x.example"])
def test_a_region_that_is_no_address(written: str) -> None:
    """It is refused, and the error speaks of the region and what to use."""
    with pytest.raises(ConfigError, match="the region") as caught:
        resolve_region(written)
    assert "global, china" in caught.value.hint


@pytest.mark.parametrize("setting", ["auth.code_endpoint", "auth.refresh_endpoint"])
def test_an_endpoint_that_is_no_address(setting: str) -> None:
    """The error names the setting; plain http to another machine is none either."""
    name = {"auth.code_endpoint": "code_endpoint", "auth.refresh_endpoint": "token_endpoint"}
    with pytest.raises(ConfigError, match=setting):
        resolve_region("global", **{name[setting]: "http://account.minimax.io/x"})


@pytest.mark.parametrize(
    ("region", "url", "trusted"),
    [
        ("global", "https://api.minimax.io/anthropic", True),
        ("global", "https://api.minimax.chat/v1", True),
        ("global", "https://MINIMAX.IO", True),
        ("global", "http://api.minimax.io/anthropic", False),
        ("global", "https://api.minimaxi.com/anthropic", False),
        ("global", "https://minimax.io.evil.example/anthropic", False),
        ("global", "https://evilminimax.io", False),
        ("global", "https://api.minimax.io@evil.example/anthropic", False),
        ("global", "https://evil.example#.minimax.io", False),
        ("global", "https://evil.example\\.minimax.io", False),
        ("global", "https://evil.example%5c.minimax.io", False),
        ("global", "https://key:word@api.minimax.io/anthropic", False),
        ("global", "https://[evil", False),
        ("global", "https://api.minimax.io:port", False),
        ("global", "file:///etc/passwd", False),
        ("global", "", False),
        ("global", LOCAL, False),
        ("china", "https://api.minimaxi.com/anthropic", True),
        ("china", "https://api.minimax.cn/anthropic", True),
        ("china", "https://api.minimax.io/anthropic", False),
        (LOCAL, f"{LOCAL}/anthropic", True),
        (LOCAL, "http://127.0.0.1:8766/anthropic", False),
        (LOCAL, "https://127.0.0.1:8765", False),
        (LOCAL, "https://api.minimax.io", False),
        ("https://gateway.example", "https://gateway.example:443/x", True),
        ("https://gateway.example", "https://sub.gateway.example", False),
    ],
)
def test_who_may_be_sent_the_token(region: str, url: str, trusted: bool) -> None:
    """Hosts of the region's family over https; of another region that one server, port and all."""
    assert resolve_region(region).trusts(url) is trusted
    own = resolve_region(region).base_url(None)
    assert resolve_region(region).base_url(url) == (url if trusted else own)


@pytest.mark.parametrize(
    ("region", "base_url"),
    [
        ("global", "https://api.minimax.io/anthropic"),
        ("https://api.minimax.chat", "https://api.minimax.io/anthropic"),
        ("china", "https://api.minimaxi.com/anthropic"),
        (LOCAL, f"{LOCAL}/anthropic"),
    ],
)
def test_without_resource_url_requests_go_to_the_region(region: str, base_url: str) -> None:
    """A login that names no server is used at its region's Anthropic wire."""
    assert resolve_region(region).base_url(None) == base_url


@pytest.mark.parametrize(
    ("location", "followed"),
    [
        (f"{GLOBAL}/oauth2/token", True),
        (f"{GLOBAL}:443/other", True),
        ("http://account.minimax.io/oauth2/token", False),
        ("https://account.minimax.io:8443/oauth2/token", False),
        ("https://account.minimax.io.evil.example/", False),
        ("https://account.minimax.io@evil.example/", False),
        ("https://account.minimax.io\\@evil.example/", False),
        ("https://account.minimaxi.com/oauth2/token", False),
        ("https://api.minimax.io/oauth2/token", False),
        ("https://account.minimax.io:no", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_redirects_lead_to_the_account_host_alone(location: str, followed: bool) -> None:
    """Same scheme, host and port, or it is not followed."""
    target = redirect_target(resolve_region("global"), location)
    assert target == (location if followed else None)


@pytest.mark.parametrize("region", ["china", "https://api.minimax.cn", "https://api.minimaxi.com"])
@pytest.mark.parametrize(
    ("location", "followed"),
    [
        (f"{CHINA}/oauth2/token", True),
        (f"{CHINA_2}/oauth2/token", True),
        (f"{CHINA_2}:443/other", True),
        ("http://account.minimax.cn/oauth2/token", False),
        ("https://account.minimax.cn:8443/oauth2/token", False),
        ("https://api.minimax.cn/oauth2/token", False),
        ("https://account.minimax.cn.evil.example/", False),
        ("https://account.minimax.cn@evil.example/", False),
        (f"{GLOBAL}/oauth2/token", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_the_chinese_account_hosts_may_lead_to_each_other(
    region: str, location: str, followed: bool
) -> None:
    """They are one region under two names; the global one is another."""
    target = redirect_target(resolve_region(region), location)
    assert target == (location if followed else None)


@pytest.mark.parametrize("location", [GLOBAL, CHINA, CHINA_2, "http://127.0.0.1:8766"])
def test_another_region_redirects_to_itself_alone(location: str) -> None:
    """A gateway or simulator does not hand a form on to anybody."""
    region = resolve_region(LOCAL)
    assert redirect_target(region, f"{location}/oauth/token") is None
    assert redirect_target(region, f"{LOCAL}/other") == f"{LOCAL}/other"


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        (
            "https://www.minimax.io/oauth-authorize?user_code=A&client=OpenClaw",
            "https://platform.minimax.io/oauth-authorize?user_code=A&client=OpenClaw",
        ),
        (
            "https://www.minimaxi.com/oauth-authorize?user_code=A",
            "https://platform.minimaxi.com/oauth-authorize?user_code=A",
        ),
        ("https://www.minimax.io/other", "https://www.minimax.io/other"),
        ("https://platform.minimax.io/oauth-authorize", ...),
        (f"{LOCAL}/oauth-authorize?user_code=A", ...),
        ("http://platform.minimax.io/oauth-authorize", None),
        ("javascript:alert(1)", None),
        ("https:///oauth-authorize", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_the_page_to_approve_on(uri: str, page: object) -> None:
    """The dead host is replaced on that one path; what is no safe page is None."""
    assert consent_page(uri) == (uri if page is ... else page)
