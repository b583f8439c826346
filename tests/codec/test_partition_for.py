"""Keys land where a Kafka producer puts them."""

import random

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference

from stream.codec.partition import murmur2, partition_for


def test_the_hash_is_that_of_kafkas_own_tests():
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    assert {key: murmur2(key) for key in known} == {key: n % 2**32 for key, n in known.items()}


def test_any_bytes_hash_as_the_reference_has_it():
    seed = 11
    print(f"seed {seed}")
    draw = random.Random(seed)
    for size in range(70):
        for _ in range(20):
            data = draw.randbytes(size)
            assert murmur2(data) == reference(data)


def test_the_partition_is_that_of_kafkas_default_partitioner():
    partitioner = DefaultPartitioner()
    for partitions in (1, 2, 4, 7, 100):
        for n in range(200):
            key = b"customer-%d" % n
            everyone = list(range(partitions))
            assert partition_for(key, partitions) == partitioner(key, everyone, everyone)
