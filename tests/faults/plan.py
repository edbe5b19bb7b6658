"""Which faults there are, and how many cases of each make the short form and the whole."""

from tests.faults import clients, kills, starts
from tests.faults.suite import Fault

FAULTS = (
    Fault("runner killed at a moment", 6, 200, kills.at_moments),
    Fault("runner killed at a point", 18, 90, kills.at_points),
    Fault("simultaneous starts", 20, 60, starts.simultaneous),
    Fault("pid of a stranger", 1, 10, starts.reused_pid),
    Fault("dashboard killed", 1, 20, clients.killed_dashboards),
    Fault("client never reads", 1, 4, clients.never_reads),
    Fault("client sends noise", 20, 200, clients.random_bytes),
    Fault("second user at the socket", 2, 2, clients.second_user),
)
