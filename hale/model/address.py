"""Addresses as other formats write them."""


def url_host(address: str) -> str:
    """The address as the host of a URL: in brackets if it is IPv6 (RFC 3986 3.2.2)."""
    return f"[{address}]" if ":" in address else address
