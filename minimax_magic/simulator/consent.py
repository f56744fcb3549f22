"""The consent page, as HTML: what a user sees who opens a `verification_uri` of the simulator."""

from __future__ import annotations

from html import escape

from minimax_magic.simulator.account_values import DeviceCode

CONTENT_TYPE = "text/html; charset=utf-8"
# nothing is loaded, nothing runs, the forms go nowhere else
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
STYLE = """
:root { color-scheme: light dark;
  --page: #f4f5f7; --card: #fff; --text: #1c1e21; --soft: #5b6068; --line: #d9dce1;
  --accent: #1f5fd0; --on-accent: #fff; --note: #fff5d6; --on-note: #594300; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14161a; --card: #1e2126; --text: #e9ebee; --soft: #a4abb5; --line: #363b44;
  --accent: #86b1ff; --on-accent: #0d1b33; --note: #3a3117; --on-note: #f5e2a8; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px;
  background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 440px; padding: 24px; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; }
h1 { margin: 0 0 12px; font-size: 1.3rem; line-height: 1.3; }
p { margin: 0 0 16px; }
.note { padding: 8px 12px; border-radius: 8px; background: var(--note); color: var(--on-note);
  font-size: .9rem; }
.code { margin: 20px 0; text-align: center; font: 600 1.9rem/1.2 ui-monospace, monospace;
  letter-spacing: .08em; }
dl { margin: 0 0 20px; display: grid; grid-template-columns: auto 1fr; gap: 4px 16px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: 12px; }
label { width: 100%; color: var(--soft); }
button, input { flex: 1 1 120px; min-width: 0; min-height: 44px; padding: 8px 16px; font: inherit;
  border: 1px solid var(--line); border-radius: 8px; background: transparent; color: inherit; }
button { font-weight: 600; cursor: pointer; }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
#result { margin: 20px 0 0; font-size: 1.1rem; font-weight: 600; }
""".strip()
NOTE = (
    '<p class="note">This is a page of the <strong>local simulator</strong>. '
    "Nothing is sent to MiniMax, and no MiniMax account is needed.</p>"
)
# no icon, or a browser asks for one and the log has a request nobody expects
HEAD = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<link rel="icon" href="data:,">'
)


def _page(title: str, content: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{HEAD}<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style></head>\n"
        f"<body><main>\n<h1>{escape(title)}</h1>\n{NOTE}\n{content}\n</main></body>\n</html>\n"
    )


def ask_for_code() -> str:
    """Where no code came with the address."""
    return _page(
        "Log in to the MiniMax simulator",
        '<form method="get"><label for="user_code">The code that your notebook shows</label>'
        '<input id="user_code" name="user_code" placeholder="XXXX-XXXX" autocomplete="off" '
        'autocapitalize="characters" spellcheck="false" maxlength="20" required autofocus>'
        '<button class="main">Continue</button></form>',
    )


def ask_for_consent(code: DeviceCode, client_name: str) -> str:
    """Approve or deny."""
    return _page(
        "Allow this login?",
        f'<p>Go on only if your notebook shows this code:</p><p class="code" id="code">'
        f"{escape(code.user_code)}</p>"
        f'<dl><dt>Client</dt><dd id="client">{escape(client_name)}</dd>'
        f'<dt>Scope</dt><dd id="scope">{escape(code.scope)}</dd></dl>'
        '<form method="post">'
        f'<input type="hidden" name="user_code" value="{escape(code.user_code)}">'
        f'<input type="hidden" name="nonce" value="{escape(code.nonce)}">'
        '<button class="main" id="approve" name="decision" value="approve">Approve</button>'
        '<button id="deny" name="decision" value="deny">Deny</button></form>',
    )


def result(text: str) -> str:
    """One sentence: how it went, or why it cannot."""
    return _page(
        "Log in to the MiniMax simulator", f'<p id="result" role="status">{escape(text)}</p>'
    )
