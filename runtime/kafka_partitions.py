"""Which partition a key goes to: the rule of Kafka's own producer, so that all producers agree."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_LOW_32: Final = 0xFFFFFFFF
_LOW_31: Final = 0x7FFFFFFF
CACHED_KEYS_MAX: Final = 16_384
"""Keys whose partition is remembered: the rows of one payment come close together."""


def murmur2(key: bytes) -> int:
    """Return MurmurHash2 of the key as org.apache.kafka.common.utils.Utils.murmur2 computes it, unsigned.

    The same as `aiokafka.partitioner.murmur2`, word by word instead of byte by byte.
    """
    length = len(key)
    value = _SEED ^ length
    for word in struct.unpack_from(f"<{length >> 2}I", key):
        mixed = word * _FACTOR & _LOW_32
        mixed = (mixed ^ mixed >> 24) * _FACTOR & _LOW_32
        value = value * _FACTOR & _LOW_32 ^ mixed
    if rest := key[length & ~3 :]:
        value = (value ^ int.from_bytes(rest, "little")) * _FACTOR & _LOW_32
    value = (value ^ value >> 13) * _FACTOR & _LOW_32
    return value ^ value >> 15


@lru_cache(maxsize=CACHED_KEYS_MAX)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many."""
    return (murmur2(key) & _LOW_31) % partitions
