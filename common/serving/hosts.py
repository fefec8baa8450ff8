"""Who is asked: a page that lets its own name point to this machine (DNS rebinding) is told apart by that name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from ..errors import InputError
from .names import shown
from .refusal import Refused

LOCAL = ("127.0.0.1", "localhost", "::1")
"""What this machine is called by itself."""
EVERYONE = ("0.0.0.0", "::", "")
"""Addresses to listen on that are nobody's name."""
AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::\d{1,5})?")
SAFE = ("GET", "HEAD", "OPTIONS")


def trusted_hosts(words: Iterable[str]) -> frozenset[str]:
    """Return the hosts that are answered: this machine's own names, and each of ``words``.

    Raises:
        InputError: a word that is no name or address of a host.
    """
    hosts = set(LOCAL)
    for word in filter(None, map(str.strip, words)):
        host = host_of(f"[{word}]" if word.count(":") > 1 and not word.startswith("[") else word)
        if host is None or host in EVERYONE:
            raise InputError(f"--hosts {word}: give names or addresses by which this machine is asked, as lab7.local.")
        hosts.add(host)
    return frozenset(hosts)


def host_of(authority: str) -> str | None:
    """The host of ``host:port``, in small letters; None if it is not of this form."""
    found = AUTHORITY.fullmatch(authority)
    return (found[1] or found[2]).lower().rstrip(".") if found else None


def check_host(method: str, headers: Iterable[tuple[bytes, bytes]], hosts: frozenset[str]) -> None:
    """See that a request was sent to one of ``hosts``, and what changes or computes by no page of another server.

    Args:
        method: of HTTP; headers: names in small letters, and values.

    Raises:
        Refused: any other host, none or two, or an origin that is not the host.
    """
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value.decode("latin-1"))
    named = found.get(b"host", [])
    if len(named) != 1 or host_of(named[0]) not in hosts:
        line = f"host {shown(', '.join(named))} is not served; --hosts names those that are, beside {', '.join(LOCAL)}."
        raise Refused(421, line)
    for origin in found.get(b"origin", []) * (method not in SAFE):
        if urlsplit(origin).netloc.lower() != named[0].lower():
            raise Refused(403, f"origin {shown(origin)} is another server's page; only this one's own may ask this.")
