"""One kernel of each ipykernel for all tests, beside a simulator in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kernels import Kernel, ok

from minimax_magic.simulator import DEFAULT_KEY, Simulator

ROOT = Path(__file__).parents[2]


def _python(version: str) -> str:
    if version == "newest":
        return sys.executable
    given = os.environ.get("MM_KERNEL6_PYTHON")
    python = Path(given) if given else ROOT / ".venv-ipykernel6" / "bin" / "python"
    if not python.exists():
        pytest.skip("no environment with ipykernel 6.29: `make test` makes it")
    return str(python)


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    simulator.reset()
    simulator.key = DEFAULT_KEY
    return simulator


@pytest.fixture(scope="session")
def environment(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a kernel: this checkout, the simulator, folders of its own."""
    folder = tmp_path_factory.mktemp("settings")
    for name in ("config", "secrets", "data"):
        (folder / name).mkdir()
    (folder / "config" / "llm.yaml").write_text("retry: {max_attempts: 1}\n")
    return {
        "PYTHONPATH": str(ROOT),
        "MINIMAX_BASE_URL": simulator.url,
        "MINIMAX_CODE_PLAN_KEY": simulator.key,
        "MINIMAX_REQUESTS_PER_SECOND": "0",
        **{f"MINIMAX_{n.upper()}_DIR": str(folder / n) for n in ("config", "secrets", "data")},
    }


@pytest.fixture(scope="session", params=["newest", "6.29"])
def kernel_of_session(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Kernel]:
    kernel = Kernel(_python(request.param), tmp_path_factory.mktemp("kernel"), environment)
    found = kernel.value("__import__('ipykernel').__version__")
    assert found.startswith("6.29") == (request.param == "6.29")
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(kernel_of_session: Kernel, sim: Simulator) -> Kernel:
    """The kernel with the extension freshly loaded and nothing of earlier tests."""
    kernel = kernel_of_session
    kernel.seen.clear()
    result = kernel.run(
        "%unload_ext minimax_magic\n%load_ext minimax_magic\n%xmode Context\n%autoawait asyncio"
    )
    assert result.error is None, result.outputs
    return kernel


@pytest.fixture
def major(kernel: Kernel) -> int:
    """The kernel's major version."""
    return int(kernel.value("__import__('ipykernel').version_info[0]"))


@pytest.fixture
def another(
    kernel: Kernel, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Kernel]]:
    """Starts one more kernel like `kernel`, with other variables."""
    python = kernel.value("__import__('sys').executable")
    kernels: list[Kernel] = []

    def start(**variables: str | None) -> Kernel:
        folder = tmp_path / f"kernel-{len(kernels)}"
        folder.mkdir()
        merged = {**environment, **variables}
        new = Kernel(python, folder, {n: v for n, v in merged.items() if v is not None})
        kernels.append(new)
        ok(new.run("%load_ext minimax_magic\n%xmode Context"))
        return new

    yield start
    for each in kernels:
        each.close()
