"""Which faults there are, and how many cases of each make the short form and the whole; 0: only in the whole."""

from tests.faults import cancels, clients, clocks, files, full_disk, host, kills, odd_jobs, quarantine, starts
from tests.faults.suite import Fault

FAULTS = (
    Fault("runner killed at a moment", 4, 200, kills.at_moments),
    Fault("runner killed at a point", 18, 90, kills.at_points),
    Fault("cancelled, then killed", 1, 20, cancels.then_killed),
    Fault("job brings the runner down", 3, 30, quarantine.brings_down),
    Fault("simultaneous starts", 20, 60, starts.simultaneous),
    Fault("pid of a stranger", 1, 10, starts.reused_pid),
    Fault("dashboard killed", 1, 20, clients.killed_dashboards),
    Fault("client never reads", 1, 4, clients.never_reads),
    Fault("client never reads for minutes", 0, 10, clients.never_reads_by_time),
    Fault("client sends noise", 20, 200, clients.random_bytes),
    Fault("second user at the socket", 2, 2, clients.second_user),
    Fault("job misbehaves", 2, 10, odd_jobs.odd_jobs),
    Fault("result.json cut", 200, 10_000, files.cut_results),
    Fault("ledger cut or rotten", 150, 6000, files.cut_ledger),
    Fault("no room or descriptor at the n-th operation", 2, 60, host.at_operation),
    Fault("disk full", 1, 6, full_disk.goes_on_later),
    Fault("stopped on a full disk", 1, 10, full_disk.stopped),
    Fault("no file descriptors", 1, 10, host.no_descriptors),
    Fault("clock jumps a day", 1, 12, clocks.jumps),
)
