//! Bytes, 16-bit floats and small integers out of `u32` words.
//!
//! WGSL knows neither bytes nor 16-bit storage on every adapter, so blocks are read as words and
//! taken apart with shifts. Byte addresses are always even: every GGUF block has an even size.

use cubecl::prelude::*;

/// Four neighbours in a row: the unit in which weights and activations are multiplied.
pub(in super::super) type Quad = Vector<f32, Const<4>>;

/// Four integers.
pub(in super::super) type QuadBits = Vector<u32, Const<4>>;

/// `count` words from byte address `at`, which may be in the middle of a stored word: blocks of 18,
/// 22, 34 or 210 bytes start there every second time. Reads the stored word after them too.
#[cube]
pub(super) fn words_from(words: &[u32], at: u32, #[comptime] count: usize) -> Sequence<u32> {
    let first = (at >> 2) as usize;
    let shift = (at & 2) << 3;
    let mut stored = Sequence::<u32>::new();
    #[unroll]
    for i in 0..comptime!(count + 1) {
        stored.push(words[first + i]);
    }
    let mut out = Sequence::<u32>::new();
    #[unroll]
    for i in 0..count {
        // A shift by 32 is undefined, so the upper half is moved in two steps.
        let upper = (stored[comptime!(i + 1)] << 1u32) << (31 - shift);
        out.push((stored[i] >> shift) | upper);
    }
    out
}

/// The 16 bits at the even byte address `at`.
#[cube]
pub(in super::super) fn half_at(words: &[u32], at: u32) -> u32 {
    (words[(at >> 2) as usize] >> ((at & 2) << 3)) & 0xffff
}

/// The value of an IEEE 754 half.
///
/// Halves below 2⁻¹⁴ are ordinary numbers in f32, but as halves some GPUs flush them to zero, and
/// real scales do get that small. So the conversion is done on integers.
#[cube]
pub(in super::super) fn half_value(bits: u32) -> f32 {
    let exponent = (bits >> 10) & 0x1f;
    let mantissa = bits & 0x3ff;
    let sign = (bits & 0x8000) << 16;
    let rebias = select(exponent == 31, 224u32, 112u32);
    let normal = f32::reinterpret(sign | ((exponent + rebias) << 23) | (mantissa << 13));
    // mantissa · 2⁻²⁴
    let small = f32::cast_from(mantissa) * 5.960_464_5e-8f32;
    let small = select(sign == 0, small, -small);
    select(exponent == 0, small, normal)
}

/// The half nearest to `value` (ties to even), as bits; beyond the largest half, the largest.
#[cube]
pub(in super::super) fn half_bits(value: f32) -> u32 {
    let bits = u32::reinterpret(value);
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Normal halves: rebias the exponent, add just under half a unit (more when odd), truncate.
    let odd = (magnitude >> 13) & 1;
    let normal = (magnitude - (112u32 << 23) + 0xfff + odd) >> 13;
    // Below 2⁻¹⁴ the half counts units of 2⁻²⁴, and adding 0.5 in f32 leaves that count, rounded,
    // in the low bits.
    let scaled = f32::reinterpret(magnitude) + 0.5f32;
    let small = u32::reinterpret(scaled) - (126u32 << 23);
    let finite = select(magnitude < (113u32 << 23), small, normal);
    sign | select(finite > 0x7bff, 0x7bffu32, finite)
}

/// The four bytes of a word, lowest first.
#[cube]
pub(super) fn bytes_of(word: u32) -> QuadBits {
    let mut shifts = QuadBits::new(0u32);
    shifts.insert(1usize, 8u32);
    shifts.insert(2usize, 16u32);
    shifts.insert(3usize, 24u32);
    (QuadBits::new(word) >> shifts) & QuadBits::new(0xffu32)
}

/// Four small integers as numbers. They pass as signed ones, whose conversion is one instruction
/// everywhere.
#[cube]
pub(super) fn numbers(bits: QuadBits) -> Quad {
    Quad::cast_from(Vector::<i32, Const<4>>::cast_from(bits))
}

/// The four bytes of a word as signed integers.
#[cube]
pub(super) fn signed_bytes_of(word: u32) -> Quad {
    // Flipping the sign bit adds 128.
    numbers(bytes_of(word ^ 0x8080_8080u32)) - Quad::new(128.0f32)
}

/// The four lowest bits of a word.
#[cube]
pub(super) fn bits_of(word: u32) -> QuadBits {
    let mut shifts = QuadBits::new(0u32);
    shifts.insert(1usize, 1u32);
    shifts.insert(2usize, 2u32);
    shifts.insert(3usize, 3u32);
    (QuadBits::new(word) >> shifts) & QuadBits::new(1u32)
}

/// Four numbers as a quad.
#[cube]
pub(super) fn quad(a: f32, b: f32, c: f32, d: f32) -> Quad {
    let mut quad = Quad::new(a);
    quad.insert(1usize, b);
    quad.insert(2usize, c);
    quad.insert(3usize, d);
    quad
}

/// Byte `index` of a word.
#[cube]
pub(super) fn byte_of(word: u32, index: u32) -> u32 {
    (word >> (index << 3)) & 0xff
}
