"""The import rules of the design, as data."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "minimax_magic"

# Imports point down: a module may import those of lower levels, and its equals as long as there is
# no circle. The longest prefix that fits a module decides.
LEVELS = {
    "clock": 0,
    "errors": 0,
    "masked": 0,
    "models": 0,
    "terminal_words": 0,
    "text": 0,
    "text_json": 0,
    "tokens": 0,
    "words": 0,
    "events": 1,
    "messages": 1,
    "pricing": 1,
    "auth.bundle": 2,
    "auth.choices": 2,
    "auth.oauth": 2,
    "auth.oauth_answers": 2,
    "auth.regions": 2,
    "chats": 2,
    "client.advice": 2,
    "config_schema": 2,
    "context": 2,
    "doctor.findings": 2,
    "doctor.lines": 2,
    "doctor.page": 2,
    "doctor.redacted": 2,
    "doctor.remedies": 2,
    "doctor.report": 2,
    "image_encoding": 2,
    "image_headers": 2,
    "image_metadata": 2,
    "images": 2,
    "programs.access": 6,
    "programs.addresses": 2,
    "programs.program_keys": 2,
    "programs.aider_models": 2,
    "programs.environment": 2,
    "programs.gateway": 5,
    "programs.gateway_file": 4,
    "programs.names": 0,
    "programs.routes": 2,
    "programs.routing": 2,
    "programs.scripts": 3,
    "programs.shells": 2,
    "render": 2,
    "replay.recording": 2,
    "structured": 2,
    "tools": 2,
    "wire": 2,
    "yaml_file": 2,
    "auth.bundle_file": 3,
    "auth.store": 3,
    "client.rate_limit": 3,
    "client.retry": 3,
    "config": 3,
    "config_folders": 3,
    "replay.store": 3,
    "setup_files": 3,
    "testing": 3,
    "transport": 3,
    "render.dashboard_tables": 4,
    "render.forecast": 4,
    "render.usage_table": 4,
    "usage": 3,
    "usage.account": 4,
    "usage.board": 7,
    "usage.budget": 4,
    "usage.estimate": 2,
    "usage.meter": 4,
    "usage.ranges": 2,
    "usage.rows": 2,
    "usage.view": 3,
    "chat_files": 3,
    "auth.exchange": 4,
    "auth.key_check": 4,
    "auth.login": 4,
    "auth.probe": 4,
    "auth.sources": 4,
    "auth.token_plan": 4,
    "client.client": 5,
    "client.conversation": 5,
    "client.streams": 3,
    "client.turns": 5,
    "replay.answers": 5,
    "ask": 5,
    "assembly": 6,
    "session": 6,
    "turn": 6,
    "sign_in": 6,
    "world": 6,
    "doctor": 7,
    "programs": 7,
    "widgets": 7,
    "ipython": 8,
    "__main__": 8,
    "command_line": 8,
}
# Apart from the rest: it proves our codecs, so it must not use them.
APART = "simulator"

# Where an outside library may be imported at all.
HOMES = {
    "IPython": ("ipython",),
    "PIL": ("image_encoding", "images"),
    "aiohttp": ("transport", "programs.gateway", "simulator"),
    "anywidget": ("widgets",),
    "altair": ("widgets.usage_charts",),
    "docstring_parser": ("tools",),
    "filelock": ("auth.bundle_file", "replay.store", "usage.ledger", "usage.presence"),
    "ipywidgets": ("widgets",),
    "matplotlib": (),
    "nest_asyncio2": ("ipython.hands",),
    "pandas": ("usage.frames",),
    "platformdirs": ("config_folders",),
    "pydantic": (
        "assembly",
        "auth",
        "chat_files",
        "config",
        "config_schema",
        "command_line",
        "doctor",
        "ipython.login_commands",
        "messages",
        "programs",
        "replay",
        "session",
        "sign_in",
        "structured",
        "tools",
        "widgets",
        "world",
    ),
    "sqlite3": ("replay.store", "usage.ledger", "usage.schema", "usage.sql"),
    "traitlets": ("ipython", "widgets.view_models"),
    "yaml": ("yaml_file",),
}


@cache
def modules() -> tuple[str, ...]:
    """Names below the package, `wire.sse` for example; packages without code of their own left out."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        names.append(name.removesuffix(".__init__"))
    return tuple(name for name in names if name != "__init__")


def path_of(module: str) -> Path:
    base = PACKAGE / Path(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def imports(module: str) -> tuple[str, ...]:
    """Full names a module imports, those inside functions too, those for type checkers only not."""
    tree = ast.parse(path_of(module).read_text())
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                ours = full.removeprefix("minimax_magic.")
                found.append(full if ours in modules() else str(node.module))
    return tuple(found)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def level(module: str) -> int:
    fitting = [prefix for prefix in LEVELS if within(module, prefix)]
    assert fitting, f"{module} has no level: add it to LEVELS"
    return LEVELS[max(fitting, key=len)]


def ours(module: str) -> set[str]:
    names = {name for name in imports(module) if within(name, "minimax_magic")}
    return {name.removeprefix("minimax_magic").lstrip(".") for name in names} - {""}


LAYERED = [m for m in modules() if not within(m, APART) and path_of(m).name != "__init__.py"]


@pytest.mark.parametrize("module", LAYERED)
def test_imports_point_down(module: str) -> None:
    """A module imports nothing of a higher level; level 0 imports nothing of ours."""
    for imported in ours(module):
        if within(imported, APART):
            front = within(module, "ipython") or within(module, "command_line")
            assert front, f"{module} imports the simulator"
            continue
        if path_of(imported).name == "__init__.py":
            continue  # a package's own docstring
        below = level(imported) <= level(module) if level(module) else False
        assert below, f"{module} (level {level(module)}) imports {imported}"


def test_imports_have_no_circle() -> None:
    """Modules of one level may import each other, but not in a circle."""
    todo = {module: ours(module) & set(LAYERED) for module in LAYERED}
    while todo:
        free = [module for module, needed in todo.items() if not needed & set(todo)]
        assert free, f"a circle among {sorted(todo)}"
        for module in free:
            del todo[module]


@pytest.mark.parametrize("module", modules())
def test_outside_libraries_have_one_home(module: str) -> None:
    """aiohttp, pydantic, IPython and the like are imported only where they belong."""
    for imported in imports(module):
        library = imported.split(".")[0]
        if library in HOMES:
            assert any(within(module, home) for home in HOMES[library]), f"{module}: {library}"


@pytest.mark.parametrize("module", [m for m in modules() if within(m, APART)])
def test_the_simulator_stands_alone(module: str) -> None:
    """The simulator uses no codec of ours, or it would prove only that we agree with ourselves."""
    assert all(within(name, APART) for name in ours(module))


@pytest.mark.parametrize("module", [m for m in modules() if m != "config"])
def test_the_environment_is_read_in_one_place(module: str) -> None:
    """Only `config` looks at environment variables."""
    source = path_of(module).read_text()
    assert "os.environ" not in source.replace("`os.environ`", "")
    assert "getenv" not in source


HEAVY = (
    "aiohttp",
    "altair",
    "pandas",
    "pydantic",
    "ipywidgets",
    "anywidget",
    "yaml",
    "platformdirs",
    "PIL",
    "matplotlib",
    "docstring_parser",
    "nest_asyncio2",
)


@pytest.mark.parametrize(
    "code",
    [
        "import minimax_magic",
        "from IPython.core.interactiveshell import InteractiveShell as S;"
        "S.instance().run_line_magic('load_ext', 'minimax_magic')",
    ],
    ids=["import", "load_ext"],
)
def test_loading_imports_nothing_heavy(code: str) -> None:
    """`import minimax_magic` and `%load_ext` leave aiohttp, pydantic and the widgets alone."""
    check = f"import sys; {code}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=True,
    )
    assert done.stdout.strip() == "[]", done.stdout
