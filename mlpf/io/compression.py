"""Compressed blocks as ROOT writes them, into memory that is there already; nothing in damaged blocks makes them write or allocate more."""

import lzma
import zlib
from dataclasses import dataclass

import cramjam
import numpy as np
import xxhash

_HEADER = 9  # algorithm (2 letters), method, compressed and uncompressed bytes (3 each, little endian)


@dataclass(frozen=True)
class Block:
    """At most 16 MB that were compressed together: algorithm, content, and how many bytes it gives."""

    algorithm: bytes
    content: np.ndarray
    size: int


def require(condition: bool, problem: str) -> None:
    """Raise `ValueError` for bytes that cannot be right."""
    if not condition:
        raise ValueError(problem)


def find_blocks(compressed: np.ndarray, size: int) -> list[Block]:
    """Blocks that together give ``size`` bytes, so that every 16 MB of a large size are backed by a block.

    Args:
        compressed: ``uint8``, views of it are returned.
        size: number of bytes uncompressed.

    Raises:
        ValueError: there are no such blocks.
    """
    blocks = []
    start = 0
    while size > 0:
        header = compressed[start : start + _HEADER].tobytes()
        require(len(header) == _HEADER, "blocks of a basket are missing")
        num_compressed, num_bytes = int.from_bytes(header[3:6], "little"), int.from_bytes(header[6:], "little")
        start += _HEADER + num_compressed
        require(start <= len(compressed) and 0 < num_bytes <= size, "sizes of a basket's blocks are impossible")
        blocks.append(Block(header[:2], compressed[start - num_compressed : start], num_bytes))
        size -= num_bytes
    return blocks


def decompress(blocks: list[Block], target: np.ndarray) -> None:
    """Fill the ``uint8`` target, as long as the blocks together; `ValueError` or a decompressor's error if a block is damaged."""
    filled = 0
    for block in blocks:
        _decompress_block(block, target[filled : filled + block.size])
        filled += block.size


def _decompress_block(block: Block, target: np.ndarray) -> None:
    if block.algorithm == b"ZS":
        filled = cramjam.zstd.decompress_into(block.content.data, target.data)
    elif block.algorithm == b"L4":
        checksum, content = block.content[:8], block.content[8:].data
        require(xxhash.xxh64(content).digest() == checksum.tobytes(), "a checksum is wrong")
        filled = cramjam.lz4.decompress_block_into(content, target.data)
    elif block.algorithm in (b"ZL", b"XZ"):
        decompressor = zlib.decompressobj() if block.algorithm == b"ZL" else lzma.LZMADecompressor()
        values = decompressor.decompress(block.content.data, len(target) + 1)
        filled = len(values)
        if filled == len(target):
            target[...] = np.frombuffer(values, np.uint8)
    else:
        raise ValueError(f"unknown compression {block.algorithm!r}")
    require(filled == len(target), f"a block of {len(target)} bytes decompressed to {filled}")
