#!/usr/bin/env python3
"""Test vectors for the block formats, from an independent implementation.

Writes beside this file, for each block format:

  NAME.dequantize.bin   the bytes of some blocks, then the f32 weights that they stand for
  NAME.quantize.bin     f32 weights, then the bytes of the blocks that they become
                        (for the formats that the package can quantize)

all little-endian and without a header: a test knows the size of a block and of its weights, so it
knows how many there are. The oracle is the NumPy code of the PyPI package `gguf` (`gguf.quants`),
which its authors check against ggml's C code bit by bit. Written with gguf 0.19.0, NumPy 2.4.6.

Usage: python make_vectors.py     (needs numpy and gguf; the output is the same on every run)
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

HERE = pathlib.Path(__file__).parent

# Format -> byte offsets of the f16 fields in its block.
FORMATS = {
    "F32": [],
    "F16": [],
    "BF16": [],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
}

# The formats whose quantizer in the package follows ggml's reference bit by bit.
QUANTIZED = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]

# f16 scales worth a block of their own: zeros, the smallest and the largest subnormal, the smallest
# normal, one, and the largest finite number, in both signs.
EDGES = np.array(
    [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF],
    dtype="<u2",
)


def random_f16(rng, count):
    """Finite f16 numbers of the size that scales have in real models, as bits."""
    magnitude = 2.0 ** rng.uniform(-14, -4, count)
    sign = rng.choice([-1.0, 1.0], count)
    return (sign * magnitude).astype("<f2").view("<u2")


def blocks(rng, name, fields):
    """Random blocks: every integer pattern is valid, only the f16 fields must be finite."""
    block_len, block_bytes = gguf.GGML_QUANT_SIZES[Type[name]]
    if block_len == 1:
        # Every kind of number but NaN, whose bits are not defined to survive a conversion.
        bits = rng.integers(0, 256, (512, block_bytes), dtype=np.uint8)
        kind = {"F32": "<f4", "F16": "<f2"}.get(name)
        if kind:
            values = bits.view(kind)[:, 0]
        else:
            values = (bits.view("<u2").astype("<u4") << 16).view("<f4")[:, 0]
        return np.ascontiguousarray(bits[~np.isnan(values)])
    count = 24 if block_len == 32 else len(EDGES) + 4
    out = rng.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    for n, field in enumerate(fields):
        scales = random_f16(rng, count)
        # Each field takes the edges in another order, so that they meet in many ways.
        scales[: len(EDGES)] = np.roll(EDGES, 3 * n)
        out[:, field : field + 2] = scales.reshape(-1, 1).view(np.uint8)
    return out


def weights(rng):
    """Rows of 32 weights: spread like real ones, plus the cases that rounding trips over."""
    rows = [rng.normal(0, 10.0 ** rng.uniform(-4, 1), 32) for _ in range(20)]
    rows.append(np.zeros(32))
    rows.append(np.full(32, -0.75))
    rows.append(np.linspace(-8, 8, 32))
    rows.append(np.abs(rng.normal(0, 1, 32)))
    rows.append(-np.abs(rng.normal(0, 1, 32)))
    rows.append(np.where(np.arange(32) % 2, 1.0, -1.0))  # a tie for the largest
    rows.append(np.arange(-16, 16) + 0.5)  # halves
    rows.append(np.concatenate([[127.0], np.arange(-15, 16) + 0.5]))  # halves in Q8_0's steps
    rows.append(np.concatenate([[1000.0], rng.normal(0, 0.01, 31)]))  # an outlier
    return np.array(rows, dtype="<f4")


def main():
    for i, (name, fields) in enumerate(FORMATS.items()):
        rng = np.random.default_rng(20250101 + i)
        raw = blocks(rng, name, fields)
        with np.errstate(over="ignore", invalid="ignore"):
            expected = gguf.dequantize(raw, Type[name]).astype("<f4")
        assert not np.isnan(expected).any(), name
        path = HERE / f"{name}.dequantize.bin"
        path.write_bytes(raw.tobytes() + expected.tobytes())
        if name in QUANTIZED:
            x = weights(rng)
            packed = gguf.quantize(x, Type[name])
            (HERE / f"{name}.quantize.bin").write_bytes(x.tobytes() + packed.tobytes())


if __name__ == "__main__":
    main()
