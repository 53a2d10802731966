//! Dot products of blocks: integers inside a block (exact in any order), one f32 addition a block.
//!
//! Each function exists once as plain Rust and once per instruction set; all give the same bits,
//! because the integer part is exact and the float part is the same sequence of operations.
#![allow(unsafe_code)]

use crate::quant::{SimpleBlock, SuperBlock};

use super::Level;
use super::activations::{Block32, Block256};

/// One weight row times one activation row, 32-weight blocks.
pub fn simple(level: Level, w: &[SimpleBlock], x: &[Block32]) -> f32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an engine only has a level that this CPU has.
        Level::Avx2 => unsafe { avx2::simple(w, x) },
        _ => simple_with(w, x, |w, x| {
            w.iter()
                .zip(x)
                .map(|(w, x)| i32::from(*w) * i32::from(*x))
                .sum()
        }),
    }
}

/// One weight row times one activation row, 256-weight blocks.
pub fn super_blocks(level: Level, w: &[SuperBlock], x: &[Block256]) -> f32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2::super_blocks(w, x) },
        _ => super_with(w, x, |w, x| {
            let mut total = 0;
            for (g, (w16, x16)) in w.q.chunks_exact(16).zip(x.q.chunks_exact(16)).enumerate() {
                let dot: i32 = w16
                    .iter()
                    .zip(x16)
                    .map(|(w, x)| i32::from(*w) * i32::from(*x))
                    .sum();
                total += dot * i32::from(w.scale[g]);
            }
            total
        }),
    }
}

/// One float weight row times one float activation row.
pub fn floats(level: Level, w: &[f32], x: &[f32]) -> f32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2::floats(w, x) },
        _ => floats_with(w, x),
    }
}

/// `acc[i] += p · v[i]`.
pub fn accumulate(level: Level, acc: &mut [f32], p: f32, v: &[f32]) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2::accumulate(acc, p, v) },
        _ => accumulate_with(acc, p, v),
    }
}

/// The sum of 16 lanes, as a tree.
pub fn sum_lanes(lanes: &[f32; 16]) -> f32 {
    let mut lanes = *lanes;
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

#[inline(always)]
fn simple_with(w: &[SimpleBlock], x: &[Block32], dot: impl Fn(&[i8; 32], &[i8; 32]) -> i32) -> f32 {
    let mut acc = 0f32;
    for (w, x) in w.iter().zip(x) {
        acc += w.d * x.d * dot(&w.q, &x.q) as f32 + w.m * x.sum;
    }
    acc
}

#[inline(always)]
fn super_with(
    w: &[SuperBlock],
    x: &[Block256],
    dot: impl Fn(&SuperBlock, &Block256) -> i32,
) -> f32 {
    let mut acc = 0f32;
    for (w, x) in w.iter().zip(x) {
        let mins: i32 = w
            .min
            .iter()
            .zip(&x.sums)
            .map(|(m, s)| i32::from(*m) * i32::from(*s))
            .sum();
        acc += x.d * (w.d * dot(w, x) as f32 - w.dmin * mins as f32);
    }
    acc
}

#[inline(always)]
fn floats_with(w: &[f32], x: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (w_body, w_tail) = w.as_chunks::<16>();
    let (x_body, x_tail) = x.as_chunks::<16>();
    for (w, x) in w_body.iter().zip(x_body) {
        for i in 0..16 {
            lanes[i] += w[i] * x[i];
        }
    }
    for (i, (w, x)) in w_tail.iter().zip(x_tail).enumerate() {
        lanes[i] += w * x;
    }
    sum_lanes(&lanes)
}

#[inline(always)]
fn accumulate_with(acc: &mut [f32], p: f32, v: &[f32]) {
    for (acc, v) in acc.iter_mut().zip(v) {
        *acc += p * v;
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::*;
    use std::arch::x86_64::*;

    /// Products of 32 signed bytes, summed in pairs: `maddubs` wants one operand unsigned, so the
    /// sign of `w` moves to `x`. |w| ≤ 128 and |x| ≤ 127 keep a pair below 32,513: no saturation.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pairs(w: __m256i, x: __m256i) -> __m256i {
        _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum_i32(v: __m256i) -> i32 {
        let v = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0b01_00_11_10>(v));
        let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0b10_11_00_01>(v));
        _mm_cvtsi128_si32(v)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[i8; 32]) -> __m256i {
        // SAFETY: 32 readable bytes; the load needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    /// # Safety
    /// The CPU must have AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn simple(w: &[SimpleBlock], x: &[Block32]) -> f32 {
        simple_with(w, x, |w, x| {
            let pairs = pairs(load(w), load(x));
            sum_i32(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        })
    }

    /// # Safety
    /// The CPU must have AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn super_blocks(w: &[SuperBlock], x: &[Block256]) -> f32 {
        super_with(w, x, |w, x| {
            let mut total = _mm256_setzero_si256();
            let (w_chunks, _) = w.q.as_chunks::<32>();
            let (x_chunks, _) = x.q.as_chunks::<32>();
            for (i, (wq, xq)) in w_chunks.iter().zip(x_chunks).enumerate() {
                let scales = _mm256_set_m128i(
                    _mm_set1_epi16(w.scale[2 * i + 1]),
                    _mm_set1_epi16(w.scale[2 * i]),
                );
                let scaled = _mm256_madd_epi16(pairs(load(wq), load(xq)), scales);
                total = _mm256_add_epi32(total, scaled);
            }
            sum_i32(total)
        })
    }

    /// # Safety
    /// The CPU must have AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn floats(w: &[f32], x: &[f32]) -> f32 {
        floats_with(w, x)
    }

    /// # Safety
    /// The CPU must have AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn accumulate(acc: &mut [f32], p: f32, v: &[f32]) {
        accumulate_with(acc, p, v);
    }
}
