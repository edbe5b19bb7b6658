"""What every test may use."""

import pytest
from hypothesis import HealthCheck, settings

# What is found must not depend on how busy the machine is, nor on the day: the same examples, however long they take.
settings.register_profile("coopdeck", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("coopdeck")


@pytest.fixture
def anyio_backend() -> str:
    """asyncio alone: the dashboard's and the runner's."""
    return "asyncio"
