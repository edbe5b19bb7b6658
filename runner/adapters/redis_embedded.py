"""fakeredis' TCP server as a program: `python -m runner.adapters.redis_embedded PORT HOST...`, until it is ended.

The optional extra `coopdeck[redis]` brings fakeredis; nothing else of coopdeck imports it.
"""

import signal
import sys
import threading

from fakeredis import TcpFakeServer


def main(port: int, hosts: list[str]) -> int:
    # One set of data behind all the addresses.
    first, *others = (TcpFakeServer((host, port)) for host in hosts)
    servers = [first, *others]
    for server in servers:
        server.fake_server = first.fake_server
        # The thread of a connection must not keep the program up that is to end.
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
