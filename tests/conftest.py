"""What every test may use."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """asyncio alone: the dashboard's and the runner's."""
    return "asyncio"
