import lzma
import zlib

import cramjam
import numpy as np
import pytest
import xxhash

from mlpf.io.compression import decompress, find_blocks

CONTENT = bytes(range(256)) * 40


def lz4(content):
    packed = bytes(cramjam.lz4.compress_block(content, store_size=False))
    return xxhash.xxh64(packed).digest() + packed


PACK = {b"ZL": zlib.compress, b"XZ": lzma.compress, b"ZS": lambda content: bytes(cramjam.zstd.compress(content)), b"L4": lz4}


def block(algorithm, content=CONTENT, size=None):
    packed = PACK[algorithm](content)
    return algorithm + b"\x01" + len(packed).to_bytes(3, "little") + (len(content) if size is None else size).to_bytes(3, "little") + packed


def unpack(packed, size):
    target = np.zeros(size + 8, np.uint8)
    decompress(find_blocks(np.frombuffer(packed, np.uint8), size), target[:size])
    assert not target[size:].any()  # nothing beyond the target
    return target[:size].tobytes()


def test_blocks_of_any_algorithm_follow_each_other():
    assert unpack(b"".join(map(block, PACK)), len(PACK) * len(CONTENT)) == CONTENT * len(PACK)
    assert unpack(b"", 0) == b""


@pytest.mark.parametrize("algorithm", PACK)
@pytest.mark.parametrize("claimed", [len(CONTENT) - 1, len(CONTENT) + 1, 1])
def test_a_block_that_gives_another_size_than_it_claims_is_refused(algorithm, claimed):
    with pytest.raises((ValueError, cramjam.DecompressionError)):
        unpack(block(algorithm, size=claimed), claimed)


@pytest.mark.parametrize("algorithm", PACK)
def test_a_bomb_is_refused_before_it_is_unpacked(algorithm):
    with pytest.raises((ValueError, cramjam.DecompressionError)):
        unpack(block(algorithm, bytes(100_000_000), size=1000), 1000)


@pytest.mark.parametrize(
    ("packed", "size", "message"),
    [
        (block(b"ZL"), 2 * len(CONTENT), "blocks of a basket are missing"),
        (block(b"ZL")[:-1], len(CONTENT), "sizes of a basket's blocks are impossible"),
        (block(b"ZL"), len(CONTENT) - 1, "sizes of a basket's blocks are impossible"),
        (block(b"ZL", size=0), len(CONTENT), "sizes of a basket's blocks are impossible"),
        (b"ZL", 10, "blocks of a basket are missing"),
        (b"CS" + block(b"ZL")[2:], len(CONTENT), "unknown compression b'CS'"),
        (block(b"L4")[:-1] + b"\x00", len(CONTENT), "a checksum is wrong"),
    ],
)
def test_impossible_blocks_are_named(packed, size, message):
    with pytest.raises(ValueError, match=message):
        unpack(packed, size)
