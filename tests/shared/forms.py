"""Forms as clients send them."""

from __future__ import annotations


def form_of(fields: dict[str, str], files: dict[str, tuple[str, bytes]] | None = None) -> tuple[bytes, str]:
    """Return a form's bytes and its content type; of ``files`` each field has a name and a content."""
    edge = "a-line-that-is-nowhere-else"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="%s"'
    parts = [f"{head % key}\r\n\r\n{value}\r\n".encode() for key, value in fields.items()]
    for key, (name, content) in (files or {}).items():
        kind = "Content-Type: application/octet-stream"
        parts.append(f'{head % key}; filename="{name}"\r\n{kind}\r\n\r\n'.encode() + content + b"\r\n")
    return b"".join(parts) + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"
