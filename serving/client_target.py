"""Target of `serving.client`: HOST:PORT."""

import ipaddress
import re

HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?")


def check(target: str) -> None:
    """Raises ValueError unless a target is a name or an address, and a port: gRPC would take it otherwise.

    Without a port gRPC asks at 443, and of a port that is too large it takes the lowest 16 bits.
    """
    host, _, port = target.rpartition(":")
    is_port = re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535
    if not is_port or not (HOST.fullmatch(host) or _is_ipv6(host)):
        raise ValueError(
            "`target` must be HOST:PORT, with a name, an IPv4 address or an IPv6 address in brackets, and a "
            f"port from 1 to 65535. Received: target={target!r:.80}."
        )


def _is_ipv6(host):
    if not (host.startswith("[") and host.endswith("]")):
        return False
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True
