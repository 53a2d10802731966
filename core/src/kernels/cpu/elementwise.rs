//! What happens to sums and rows between matrix products: biases, residuals, activations, norms,
//! and the exponential that they need, the same bits on every instruction set.
#![allow(unsafe_code)]

use crate::kernels::{Activation, Norm};

use super::activations::NormScale;
use super::lanes::{Kernel, LANES, Lanes};
use super::multiply::Sums;
use super::parts::Parts;

/// `e^x` with a relative error below 2·10⁻⁷, for x from -87.3 to 88; beyond, x is taken as the bound.
///
/// `x = n·ln 2 + r` with |r| ≤ ln 2 / 2; `e^r` by its Taylor polynomial of degree 7, whose first
/// term left out is below 10⁻⁸.
#[inline(always)]
pub fn exp<S: Lanes>(s: S, x: S::F) -> S::F {
    const LOWEST: f32 = -87.3;
    let clamped = s.min_f(s.max_f(x, s.splat_f(LOWEST)), s.splat_f(88.0));
    let n = s.to_i32(s.mul_f(clamped, s.splat_f(std::f32::consts::LOG2_E)));
    let n_f = s.to_f32(n);
    // ln 2 in two parts: the first has few enough bits that its product with n is exact.
    let r = s.fma(n_f, s.splat_f(-355.0 / 512.0), clamped);
    let r = s.fma(n_f, s.splat_f(2.121_944_4e-4), r);
    let mut y = s.splat_f(1.0 / 5040.0);
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        y = s.fma(y, r, s.splat_f(c));
    }
    let power = s.as_f32(s.shl(s.add(n, s.splat(127)), 23));
    s.mul_f(y, power)
}

/// `tanh(x)`, as `1 − 2 / (e^2x + 1)`.
#[inline(always)]
pub fn tanh<S: Lanes>(s: S, x: S::F) -> S::F {
    let one = s.splat_f(1.0);
    // Beyond 20 it is 1 to the last bit.
    let x = s.min_f(s.max_f(x, s.splat_f(-20.0)), s.splat_f(20.0));
    let e = exp(s, s.add_f(x, x));
    s.sub_f(one, s.div_f(s.splat_f(2.0), s.add_f(e, one)))
}

/// `cap · tanh(x / cap)`.
#[inline(always)]
pub fn softcap<S: Lanes>(s: S, x: S::F, cap: f32) -> S::F {
    let cap = s.splat_f(cap);
    s.mul_f(cap, tanh(s, s.div_f(x, cap)))
}

#[inline(always)]
fn activate<S: Lanes>(s: S, activation: Activation, x: S::F) -> S::F {
    let one = s.splat_f(1.0);
    match activation {
        Activation::Silu => {
            let e = exp(s, s.sub_f(s.splat_f(0.0), x));
            s.div_f(x, s.add_f(one, e))
        }
        Activation::Gelu => {
            let cubic = s.fma(s.splat_f(0.044_715), s.mul_f(x, x), one);
            let inner = s.mul_f(s.mul_f(s.splat_f(0.797_884_6), x), cubic);
            let half = s.mul_f(s.splat_f(0.5), x);
            s.mul_f(half, s.add_f(one, tanh(s, inner)))
        }
    }
}

/// What happens to the sums of a matrix product, before they are written out.
#[derive(Clone, Copy)]
pub enum Finish<'a> {
    /// `sum + bias`.
    Bias(Option<&'a [f32]>),
    /// `sum + bias + residual[n, rows]`.
    Add {
        /// For each output feature.
        bias: Option<&'a [f32]>,
        /// For each output.
        residual: &'a [f32],
    },
    /// `cap · tanh((sum + bias) / cap)`.
    Cap {
        /// For each output feature.
        bias: Option<&'a [f32]>,
        /// The bound.
        cap: f32,
    },
    /// `activation(gate) · sum`.
    Gate {
        /// The sums of the gate, of the same panels and rows.
        gates: &'a [Sums],
        /// Applied to the gate.
        activation: Activation,
    },
}

/// Finishes the sums `[panels][n]` of the panels from weight row `first` on and writes them to
/// `out[n, rows]`.
pub struct FinishPanel<'a> {
    /// What there is to finish.
    pub sums: &'a [Sums],
    /// How.
    pub finish: Finish<'a>,
    /// Activation rows.
    pub n: usize,
    /// Weight rows of the whole matrix.
    pub rows: usize,
    /// The first weight row of the first panel.
    pub first: usize,
    /// Where to; no other thread writes these panels.
    pub out: &'a Parts<'a, f32>,
}

impl Kernel for FinishPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        for (i, sums) in self.sums.iter().enumerate() {
            let (panel, t) = (i / self.n, i % self.n);
            let row = self.first + panel * LANES;
            let count = LANES.min(self.rows - row);
            let mut x = s.load_f(sums);
            if let Finish::Bias(Some(bias))
            | Finish::Add {
                bias: Some(bias), ..
            }
            | Finish::Cap {
                bias: Some(bias), ..
            } = self.finish
            {
                x = s.add_f(x, partial(s, &bias[row..row + count]));
            }
            x = match self.finish {
                Finish::Bias(_) => x,
                Finish::Add { residual, .. } => {
                    let at = t * self.rows + row;
                    s.add_f(x, partial(s, &residual[at..at + count]))
                }
                Finish::Cap { cap, .. } => softcap(s, x, cap),
                Finish::Gate { gates, activation } => {
                    s.mul_f(activate(s, activation, s.load_f(&gates[i])), x)
                }
            };
            let mut values = [0.0; LANES];
            s.store_f(x, &mut values);
            // SAFETY: a panel is handed to one thread, and each is written to its own columns.
            let out = unsafe { self.out.part(t * self.rows + row, count) };
            out.copy_from_slice(&values[..count]);
        }
    }
}

/// Up to sixteen elements, the other lanes 0.
#[inline(always)]
pub fn partial<S: Lanes>(s: S, x: &[f32]) -> S::F {
    match x.first_chunk() {
        Some(x) => s.load_f(x),
        None => {
            let mut lanes = [0.0; LANES];
            lanes[..x.len()].copy_from_slice(x);
            s.load_f(&lanes)
        }
    }
}

/// Root mean square norm of one row in place, and then the sum with a residual.
pub struct NormRow<'a> {
    /// The elements.
    pub row: &'a mut [f32],
    /// The norm.
    pub norm: &'a Norm,
    /// Added afterwards.
    pub residual: Option<&'a [f32]>,
}

impl Kernel for NormRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let scale = NormScale {
            row: self.row,
            eps: self.norm.eps,
        };
        let scale = s.splat_f(scale.run(s));
        let weight = self.norm.weight.host();
        for (i, x) in self.row.chunks_mut(LANES).enumerate() {
            let at = i * LANES..i * LANES + x.len();
            let y = s.mul_f(partial(s, x), scale);
            let mut y = s.mul_f(y, partial(s, &weight[at.clone()]));
            if let Some(residual) = self.residual {
                y = s.add_f(y, partial(s, &residual[at]));
            }
            let mut lanes = [0.0; LANES];
            s.store_f(y, &mut lanes);
            x.copy_from_slice(&lanes[..x.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::Level;

    /// A function of lanes, on each number of a list.
    struct Each<'a>(&'a [f32], Function);

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Tanh,
    }

    impl Kernel for Each<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Lanes>(self, s: S) -> Vec<f32> {
            let mut out = Vec::new();
            for x in self.0.chunks(LANES) {
                let mut lanes = [0.0; LANES];
                let y = match self.1 {
                    Function::Exp => exp(s, partial(s, x)),
                    Function::Tanh => tanh(s, partial(s, x)),
                };
                s.store_f(y, &mut lanes);
                out.extend_from_slice(&lanes[..x.len()]);
            }
            out
        }
    }

    #[test]
    fn functions_are_close_to_their_definitions_and_the_same_on_every_level() {
        let x: Vec<f32> = (-87_000..88_000).map(|i| i as f32 / 1000.0).collect();
        let exps = Level::Portable.run(Each(&x, Function::Exp));
        for (x, y) in x.iter().zip(&exps) {
            let exact = f64::from(*x).exp();
            let error = (f64::from(*y) / exact - 1.0).abs();
            assert!(error < 2e-7, "e^{x}: {y}, off by {error:e}");
        }
        let tanhs = Level::Portable.run(Each(&x, Function::Tanh));
        for (x, y) in x.iter().zip(&tanhs) {
            let error = (f64::from(*y) - f64::from(*x).tanh()).abs();
            // 1 − 2/(…) near 0 is the difference of two numbers near 1.
            assert!(error < 2e-7, "tanh {x}: {y}, off by {error:e}");
        }
        for level in Level::all() {
            assert_eq!(level.run(Each(&x, Function::Exp)), exps, "{level}");
            assert_eq!(level.run(Each(&x, Function::Tanh)), tanhs, "{level}");
        }
    }

    #[test]
    fn out_of_range_is_taken_as_the_bound() {
        let y = Level::Portable.run(Each(&[f32::NEG_INFINITY, -1e30, 1e30], Function::Exp));
        assert!(y[0] > 0.0 && y[0] < 2e-38 && y[0] == y[1]);
        assert!(y[2].is_finite() && y[2] > 1e38);
    }
}
