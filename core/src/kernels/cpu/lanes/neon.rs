//! The lanes as four NEON registers, with or without byte dot products and byte matrix products.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use half::f16;

use super::{Kernel, LANES, Lanes, Rows, dot_steps};

/// What every ARM64 CPU has.
const PLAIN: u8 = 0;
/// With `sdot` (FEAT_DotProd).
const DOTPROD: u8 = 1;
/// With `sdot` and `smmla` (FEAT_I8MM).
const I8MM: u8 = 2;

/// NEON with extensions up to `WITH`: a value proves that the CPU has them.
#[derive(Clone, Copy)]
pub struct Neon<const WITH: u8>(());

/// Runs a kernel, compiled for NEON.
///
/// # Safety
/// Any ARM64 CPU will do.
#[target_feature(enable = "neon")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon::<PLAIN>(()))
}

/// Runs a kernel, compiled for NEON with dot products.
///
/// # Safety
/// The CPU must have `dotprod`.
#[target_feature(enable = "neon,dotprod")]
pub unsafe fn run_dotprod<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon::<DOTPROD>(()))
}

/// Runs a kernel, compiled for NEON with matrix products.
///
/// # Safety
/// The CPU must have `dotprod` and `i8mm`.
#[target_feature(enable = "neon,dotprod,i8mm")]
pub unsafe fn run_i8mm<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon::<I8MM>(()))
}

/// Calls an intrinsic on registers or on an array of whole registers.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: the CPU has the instructions, since `self` exists; memory is that of a reference.
        unsafe { $call }
    };
}

/// The same intrinsic on all four registers.
macro_rules! all {
    (|$a:ident| $call:expr, $x:expr) => {{
        let [x0, x1, x2, x3] = $x;
        op!([
            {
                let $a = x0;
                $call
            },
            {
                let $a = x1;
                $call
            },
            {
                let $a = x2;
                $call
            },
            {
                let $a = x3;
                $call
            },
        ])
    }};
    (|$a:ident, $b:ident| $call:expr, $x:expr, $y:expr) => {{
        let ([x0, x1, x2, x3], [y0, y1, y2, y3]) = ($x, $y);
        op!([
            {
                let ($a, $b) = (x0, y0);
                $call
            },
            {
                let ($a, $b) = (x1, y1);
                $call
            },
            {
                let ($a, $b) = (x2, y2);
                $call
            },
            {
                let ($a, $b) = (x3, y3);
                $call
            },
        ])
    }};
}

/// `acc` and, in each lane, four products of bytes. The intrinsic is not stable yet.
///
/// # Safety
/// The CPU must have `dotprod`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sdot(mut acc: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: an instruction on registers, which the CPU has.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc, in(vreg) a, in(vreg) b,
             options(pure, nomem, nostack, preserves_flags));
    }
    acc
}

/// `acc` and the products of two rows of eight bytes of `a` with two of `b`: `[a0·b0, a0·b1, a1·b0,
/// a1·b1]`. The intrinsic is not stable yet.
///
/// # Safety
/// The CPU must have `i8mm`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn smmla(mut acc: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: an instruction on registers, which the CPU has.
    unsafe {
        asm!("smmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc, in(vreg) a, in(vreg) b,
             options(pure, nomem, nostack, preserves_flags));
    }
    acc
}

/// Four f16 as f32. The intrinsic is not stable yet, the instruction is in every ARM64 CPU.
#[inline(always)]
fn widen(halves: uint16x4_t) -> float32x4_t {
    let out: float32x4_t;
    // SAFETY: an instruction on registers, which every ARM64 CPU has.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) out, in(vreg) halves,
             options(pure, nomem, nostack, preserves_flags));
    }
    out
}

impl<const WITH: u8> Neon<WITH> {
    /// 16 bytes of rows `i..i + 4`, transposed.
    #[inline(always)]
    fn four_rows(self, rows: &Rows<'_>, i: usize, at: usize) -> [int32x4_t; 4] {
        // SAFETY: `window` gives addresses of 16 readable bytes; see also `op`.
        unsafe {
            let a = vreinterpretq_s32_u8(vld1q_u8(rows.window(i, at)));
            let b = vreinterpretq_s32_u8(vld1q_u8(rows.window(i + 1, at)));
            let c = vreinterpretq_s32_u8(vld1q_u8(rows.window(i + 2, at)));
            let d = vreinterpretq_s32_u8(vld1q_u8(rows.window(i + 3, at)));
            let ab = vreinterpretq_s64_s32(vtrn1q_s32(a, b));
            let ab2 = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
            let cd = vreinterpretq_s64_s32(vtrn1q_s32(c, d));
            let cd2 = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
            [
                vreinterpretq_s32_s64(vtrn1q_s64(ab, cd)),
                vreinterpretq_s32_s64(vtrn1q_s64(ab2, cd2)),
                vreinterpretq_s32_s64(vtrn2q_s64(ab, cd)),
                vreinterpretq_s32_s64(vtrn2q_s64(ab2, cd2)),
            ]
        }
    }

    /// [`Lanes::dot_group`] by matrix products: two rows by two tokens, eight bytes deep.
    #[inline(always)]
    fn matrix_group<const T: usize>(
        self,
        w: &[[i32; LANES]],
        x: [&[i32]; T],
        init: [i32; T],
    ) -> [[int32x4_t; 4]; T] {
        let zero = op!(vdupq_n_s32(0));
        // Of tokens 2p and 2p + 1: rows 0-1, 2-3, … of the sixteen.
        let mut sums = [[zero; 8]; T];
        for (step, w) in w.as_chunks::<2>().0.iter().enumerate() {
            let (first, second) = (self.load(&w[0]), self.load(&w[1]));
            for p in 0..T / 2 {
                let (a, b) = (
                    &x[2 * p][2 * step..2 * step + 2],
                    &x[2 * p + 1][2 * step..2 * step + 2],
                );
                let tokens = op!(vreinterpretq_s8_s32(vcombine_s32(
                    vld1_s32(a.as_ptr()),
                    vld1_s32(b.as_ptr())
                )));
                for q in 0..4 {
                    let low = op!(vreinterpretq_s8_s32(vzip1q_s32(first[q], second[q])));
                    let high = op!(vreinterpretq_s8_s32(vzip2q_s32(first[q], second[q])));
                    sums[p][2 * q] = op!(smmla(sums[p][2 * q], low, tokens));
                    sums[p][2 * q + 1] = op!(smmla(sums[p][2 * q + 1], high, tokens));
                }
            }
        }
        let mut out = [[zero; 4]; T];
        for p in 0..T / 2 {
            for q in 0..4 {
                let (low, high) = (sums[p][2 * q], sums[p][2 * q + 1]);
                out[2 * p][q] = op!(vaddq_s32(vuzp1q_s32(low, high), vdupq_n_s32(init[2 * p])));
                let second = op!(vuzp2q_s32(low, high));
                out[2 * p + 1][q] = op!(vaddq_s32(second, vdupq_n_s32(init[2 * p + 1])));
            }
        }
        out
    }
}

impl<const WITH: u8> Lanes for Neon<WITH> {
    type I = [int32x4_t; 4];
    type F = [float32x4_t; 4];

    const BIAS: u8 = 0;
    const TOKENS: usize = 4;
    const QUERIES: usize = 1;

    #[inline(always)]
    fn splat(self, x: i32) -> Self::I {
        op!([vdupq_n_s32(x); 4])
    }

    #[inline(always)]
    fn load(self, from: &[i32; LANES]) -> Self::I {
        let at = from.as_ptr();
        op!([
            vld1q_s32(at),
            vld1q_s32(at.add(4)),
            vld1q_s32(at.add(8)),
            vld1q_s32(at.add(12)),
        ])
    }

    #[inline(always)]
    fn store(self, v: Self::I, to: &mut [i32; LANES]) {
        let at = to.as_mut_ptr();
        op!({
            vst1q_s32(at, v[0]);
            vst1q_s32(at.add(4), v[1]);
            vst1q_s32(at.add(8), v[2]);
            vst1q_s32(at.add(12), v[3]);
        });
    }

    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        all!(|a, b| vandq_s32(a, b), a, b)
    }

    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        all!(|a, b| vorrq_s32(a, b), a, b)
    }

    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        all!(|a, b| veorq_s32(a, b), a, b)
    }

    #[inline(always)]
    fn shr(self, v: Self::I, n: u32) -> Self::I {
        let n = op!(vdupq_n_s32(-(n as i32)));
        all!(
            |v| vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v), n)),
            v
        )
    }

    #[inline(always)]
    fn shl(self, v: Self::I, n: u32) -> Self::I {
        let n = op!(vdupq_n_s32(n as i32));
        all!(|v| vshlq_s32(v, n), v)
    }

    #[inline(always)]
    fn sar(self, v: Self::I, n: u32) -> Self::I {
        let n = op!(vdupq_n_s32(-(n as i32)));
        all!(|v| vshlq_s32(v, n), v)
    }

    #[inline(always)]
    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        all!(|a, b| vaddq_s32(a, b), a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::I, b: Self::I) -> Self::I {
        all!(|a, b| vmulq_s32(a, b), a, b)
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, w: Self::I, x: Self::I) -> Self::I {
        if WITH >= DOTPROD {
            let mut out = acc;
            for i in 0..4 {
                let (w, x) = op!((vreinterpretq_s8_s32(w[i]), vreinterpretq_s8_s32(x[i])));
                out[i] = op!(sdot(acc[i], w, x));
            }
            out
        } else {
            let sums = all!(
                |w, x| {
                    let (w, x) = (vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x));
                    let low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
                    let high = vmull_high_s8(w, x);
                    vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))
                },
                w,
                x
            );
            self.add(acc, sums)
        }
    }

    #[inline(always)]
    fn dot2(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        let sums = all!(
            |a, b| {
                let (a, b) = (vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b));
                let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
                vpaddq_s32(low, vmull_high_s16(a, b))
            },
            a,
            b
        );
        self.add(acc, sums)
    }

    #[inline(always)]
    fn dot_group<const T: usize>(
        self,
        w: &[[i32; LANES]],
        x: [&[i32]; T],
        init: [i32; T],
    ) -> [Self::I; T] {
        if WITH >= I8MM && T.is_multiple_of(2) && w.len().is_multiple_of(2) {
            return self.matrix_group(w, x, init);
        }
        dot_steps(self, w, x, init)
    }

    #[inline(always)]
    fn gather(self, rows: &Rows<'_>, at: usize) -> [Self::I; 4] {
        let (a, b) = (self.four_rows(rows, 0, at), self.four_rows(rows, 4, at));
        let (c, d) = (self.four_rows(rows, 8, at), self.four_rows(rows, 12, at));
        [
            [a[0], b[0], c[0], d[0]],
            [a[1], b[1], c[1], d[1]],
            [a[2], b[2], c[2], d[2]],
            [a[3], b[3], c[3], d[3]],
        ]
    }

    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        all!(|v| vcvtq_f32_s32(v), v)
    }

    #[inline(always)]
    fn to_i32(self, v: Self::F) -> Self::I {
        all!(|v| vcvtnq_s32_f32(v), v)
    }

    #[inline(always)]
    fn half(self, v: Self::I) -> Self::F {
        all!(|v| widen(vmovn_u32(vreinterpretq_u32_s32(v))), v)
    }

    #[inline(always)]
    fn load_half(self, from: &[f16; LANES]) -> Self::F {
        let at = from.as_ptr().cast::<u16>();
        op!([
            widen(vld1_u16(at)),
            widen(vld1_u16(at.add(4))),
            widen(vld1_u16(at.add(8))),
            widen(vld1_u16(at.add(12))),
        ])
    }

    #[inline(always)]
    fn as_f32(self, v: Self::I) -> Self::F {
        all!(|v| vreinterpretq_f32_s32(v), v)
    }

    #[inline(always)]
    fn splat_f(self, x: f32) -> Self::F {
        op!([vdupq_n_f32(x); 4])
    }

    #[inline(always)]
    fn load_f(self, from: &[f32; LANES]) -> Self::F {
        let at = from.as_ptr();
        op!([
            vld1q_f32(at),
            vld1q_f32(at.add(4)),
            vld1q_f32(at.add(8)),
            vld1q_f32(at.add(12)),
        ])
    }

    #[inline(always)]
    fn store_f(self, v: Self::F, to: &mut [f32; LANES]) {
        let at = to.as_mut_ptr();
        op!({
            vst1q_f32(at, v[0]);
            vst1q_f32(at.add(4), v[1]);
            vst1q_f32(at.add(8), v[2]);
            vst1q_f32(at.add(12), v[3]);
        });
    }

    #[inline(always)]
    fn add_f(self, a: Self::F, b: Self::F) -> Self::F {
        all!(|a, b| vaddq_f32(a, b), a, b)
    }

    #[inline(always)]
    fn sub_f(self, a: Self::F, b: Self::F) -> Self::F {
        all!(|a, b| vsubq_f32(a, b), a, b)
    }

    #[inline(always)]
    fn mul_f(self, a: Self::F, b: Self::F) -> Self::F {
        all!(|a, b| vmulq_f32(a, b), a, b)
    }

    #[inline(always)]
    fn div_f(self, a: Self::F, b: Self::F) -> Self::F {
        all!(|a, b| vdivq_f32(a, b), a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        let mut out = c;
        for i in 0..4 {
            out[i] = op!(vfmaq_f32(c[i], a[i], b[i]));
        }
        out
    }

    #[inline(always)]
    fn max_f(self, a: Self::F, b: Self::F) -> Self::F {
        all!(|a, b| vmaxq_f32(a, b), a, b)
    }

    #[inline(always)]
    fn min_f(self, a: Self::F, b: Self::F) -> Self::F {
        all!(|a, b| vminq_f32(a, b), a, b)
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        // SAFETY: a hint; any address will do.
        unsafe {
            asm!("prfm pldl2keep, [{0}]", in(reg) at,
                 options(readonly, nostack, preserves_flags));
        }
    }
}
