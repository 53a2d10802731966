//! The lanes in plain Rust: what every CPU can do, and what the other levels are tested against.

use half::f16;

use super::{Kernel, LANES, Lanes, Rows};

/// Plain Rust.
#[derive(Clone, Copy)]
pub struct Portable;

/// Runs a kernel in plain Rust.
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable)
}

#[inline(always)]
fn map<A: Copy, B: Copy, C>(a: [A; LANES], b: [B; LANES], f: impl Fn(A, B) -> C) -> [C; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Lanes for Portable {
    type I = [i32; LANES];
    type F = [f32; LANES];

    const BIAS: u8 = 0;
    const TOKENS: usize = 1;
    const QUERIES: usize = 1;

    #[inline(always)]
    fn splat(self, x: i32) -> Self::I {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[i32; LANES]) -> Self::I {
        *from
    }

    #[inline(always)]
    fn store(self, v: Self::I, to: &mut [i32; LANES]) {
        *to = v;
    }

    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        map(a, b, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        map(a, b, |a, b| a | b)
    }

    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        map(a, b, |a, b| a ^ b)
    }

    #[inline(always)]
    fn shr(self, v: Self::I, n: u32) -> Self::I {
        v.map(|x| ((x as u32) >> n) as i32)
    }

    #[inline(always)]
    fn shl(self, v: Self::I, n: u32) -> Self::I {
        v.map(|x| x << n)
    }

    #[inline(always)]
    fn sar(self, v: Self::I, n: u32) -> Self::I {
        v.map(|x| x >> n)
    }

    #[inline(always)]
    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        map(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    fn mul(self, a: Self::I, b: Self::I) -> Self::I {
        map(a, b, i32::wrapping_mul)
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, w: Self::I, x: Self::I) -> Self::I {
        let products = map(w, x, |w, x| {
            let (w, x) = (w.to_ne_bytes(), x.to_ne_bytes());
            (0..4)
                .map(|i| i32::from(w[i] as i8) * i32::from(x[i] as i8))
                .sum::<i32>()
        });
        self.add(acc, products)
    }

    #[inline(always)]
    fn dot2(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        let low = map(a, b, |a, b| i32::from(a as i16) * i32::from(b as i16));
        let high = map(a, b, |a, b| (a >> 16) * (b >> 16));
        self.add(acc, self.add(low, high))
    }

    #[inline(always)]
    fn gather(self, rows: &Rows<'_>, at: usize) -> [Self::I; 4] {
        std::array::from_fn(|k| {
            std::array::from_fn(|i| {
                let word = rows.row(i)[at + 4 * k..].first_chunk::<4>();
                i32::from_ne_bytes(*word.expect("four bytes of a row"))
            })
        })
    }

    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        v.map(|x| x as f32)
    }

    #[inline(always)]
    fn to_i32(self, v: Self::F) -> Self::I {
        v.map(|x| x.round_ties_even() as i32)
    }

    #[inline(always)]
    fn half(self, v: Self::I) -> Self::F {
        v.map(|x| f16::from_bits(x as u16).to_f32_const())
    }

    #[inline(always)]
    fn load_half(self, from: &[f16; LANES]) -> Self::F {
        from.map(|x| x.to_f32_const())
    }

    #[inline(always)]
    fn as_f32(self, v: Self::I) -> Self::F {
        v.map(|x| f32::from_bits(x as u32))
    }

    #[inline(always)]
    fn splat_f(self, x: f32) -> Self::F {
        [x; LANES]
    }

    #[inline(always)]
    fn load_f(self, from: &[f32; LANES]) -> Self::F {
        *from
    }

    #[inline(always)]
    fn store_f(self, v: Self::F, to: &mut [f32; LANES]) {
        *to = v;
    }

    #[inline(always)]
    fn add_f(self, a: Self::F, b: Self::F) -> Self::F {
        map(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub_f(self, a: Self::F, b: Self::F) -> Self::F {
        map(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul_f(self, a: Self::F, b: Self::F) -> Self::F {
        map(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div_f(self, a: Self::F, b: Self::F) -> Self::F {
        map(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn max_f(self, a: Self::F, b: Self::F) -> Self::F {
        map(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min_f(self, a: Self::F, b: Self::F) -> Self::F {
        map(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn prefetch(self, _: *const u8) {}
}
