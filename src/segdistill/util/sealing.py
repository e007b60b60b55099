"""Safetensors files of ours: a header in one order, and in it a digest of everything.

The library draws the order of the header by chance, so that equal networks would give different files. `seal` writes
the header again in sorted order, and adds a digest, by which `unsealed` finds a single changed bit.

A safetensors file is the length of the header (8 bytes, little endian), the header as JSON, and the tensors.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

DIGEST = "sha256"
_METADATA = "__metadata__"
_ALIGNMENT = 8


def seal(content: bytes) -> bytes:
    """A safetensors file with its header sorted and a digest in its metadata; the tensors stay where they are.

    Example:
        >>> header = b'{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
        >>> sealed = seal(len(header).to_bytes(8, "little") + header + b"a")
        >>> sealed == seal(sealed)
        True
    """
    header, tensors = _split(content)
    metadata: dict[str, str] = {**header.pop(_METADATA, {})}
    metadata.pop(DIGEST, None)
    metadata[DIGEST] = _digest(header, metadata, tensors)
    text = _text({_METADATA: metadata, **header})
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + bytes(tensors)


def unsealed(path: Path) -> str:
    """What is wrong with a sealed file; empty if nothing is, or if it never was sealed."""
    content = path.read_bytes()
    try:
        header, tensors = _split(content)
        metadata = dict(header.pop(_METADATA, {}))
    except (ValueError, TypeError, AttributeError):
        return ""  # no safetensors file: whoever reads it will say so
    digest = metadata.pop(DIGEST, None)
    if digest is None or digest == _digest(header, metadata, tensors):
        return ""
    return "its content does not fit its checksum"


def _split(content: bytes) -> tuple[dict[str, Any], memoryview]:
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if not isinstance(header, dict) or len(content) < 8:
        raise ValueError("no header")
    return header, memoryview(content)[end:]


def _digest(header: dict[str, Any], metadata: dict[str, str], tensors: memoryview) -> str:
    digest = hashlib.sha256(_text({_METADATA: metadata, **header}))
    digest.update(tensors)
    return digest.hexdigest()


def _text(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
