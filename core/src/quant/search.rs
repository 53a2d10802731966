//! Finding scales: the extremes that the simple formats map to their end points, and the search for
//! the scales and minimums of super-blocks.
//!
//! The search minimizes the squared error of each group: it tries a set of scales around the one
//! that maps the group's range to the range of the integers, rounds to integers with each, solves
//! for the scale (and minimum) that fit those integers best, and keeps the best. Then the scales of
//! all groups are themselves rounded to small integers, and the weights are rounded once more with
//! the scales that will be read back.

use half::f16;

use super::block::SUPER;

/// Candidate scales divide the range by the number of levels plus a tenth of each of these.
const STEPS: std::ops::RangeInclusive<i32> = -9..=9;

/// The element of largest magnitude, with its sign; the first of equals.
pub(super) fn signed_extreme(x: &[f32]) -> f32 {
    let larger = |best: f32, &x: &f32| if x.abs() > best.abs() { x } else { best };
    x.iter().fold(0.0, larger)
}

/// Smallest and largest element.
pub(super) fn affine_range(x: &[f32]) -> (f32, f32) {
    let first = x.first().copied().unwrap_or_default();
    x.iter()
        .fold((first, first), |(lo, hi), &x| (lo.min(x), hi.max(x)))
}

/// `1/d`, or 0 when that is not finite (then all weights are 0, or vanish in f16 anyway).
pub(super) fn inverse(d: f32) -> f32 {
    let id = 1.0 / d;
    if id.is_finite() { id } else { 0.0 }
}

/// `x` in units of `step`, rounded to an integer from `lo` to `hi`; 0 for a zero step.
fn round_to(x: f64, step: f64, lo: f64, hi: f64) -> f64 {
    if step == 0.0 {
        return 0.0;
    }
    (x / step).round().clamp(lo, hi)
}

/// Rounds to f16 without leaving its finite range.
fn to_f16(value: f64) -> f16 {
    let max = f64::from(f16::MAX);
    f16::from_f64(value.clamp(-max, max))
}

/// Scale and minimum of a group: `w ≈ scale·q − min`, both at least 0.
#[derive(Clone, Copy)]
struct Affine {
    scale: f64,
    min: f64,
}

impl Affine {
    fn quantize(self, x: f32, levels: f64) -> f64 {
        round_to(f64::from(x) + self.min, self.scale, 0.0, levels)
    }

    fn squared_error(self, x: &[f32], levels: f64) -> f64 {
        x.iter()
            .map(|&x| {
                let w = self.scale * self.quantize(x, levels) - self.min;
                (w - f64::from(x)).powi(2)
            })
            .sum()
    }

    /// The least-squares fit to the integers that this one rounds `x` to.
    fn refit(self, x: &[f32], levels: f64) -> Option<Self> {
        let n = x.len() as f64;
        let (mut sq, mut sqq, mut sx, mut sqx) = (0.0, 0.0, 0.0, 0.0);
        for &x in x {
            let q = self.quantize(x, levels);
            let x = f64::from(x);
            sq += q;
            sqq += q * q;
            sx += x;
            sqx += q * x;
        }
        let det = n * sqq - sq * sq;
        let scale = (n * sqx - sq * sx) / det;
        let min = (scale * sq - sx) / n;
        let fit = if min >= 0.0 {
            Self { scale, min }
        } else {
            // The minimum cannot be negative: fit the scale alone.
            Self {
                scale: sqx / sqq,
                min: 0.0,
            }
        };
        (fit.scale.is_finite() && fit.scale > 0.0).then_some(fit)
    }

    /// The best found for integers from 0 to `levels`.
    fn search(x: &[f32], levels: f64) -> Self {
        let (lo, hi) = affine_range(x);
        let lo = f64::from(lo.min(0.0));
        let range = f64::from(hi) - lo;
        let mut best = Self {
            scale: range / levels,
            min: -lo,
        };
        let mut least = best.squared_error(x, levels);
        for step in STEPS {
            let candidate = Self {
                scale: range / (levels + 0.1 * f64::from(step)),
                min: -lo,
            };
            let Some(fit) = candidate.refit(x, levels) else {
                continue;
            };
            let error = fit.squared_error(x, levels);
            if error < least {
                (best, least) = (fit, error);
            }
        }
        best
    }
}

/// A super-block with minimums: `w ≈ d·scale·q − dmin·min`.
pub(super) struct AffineSuper<const GROUPS: usize> {
    pub(super) d: f16,
    pub(super) dmin: f16,
    pub(super) scale: [u8; GROUPS],
    pub(super) min: [u8; GROUPS],
    pub(super) q: [u8; SUPER],
}

impl<const GROUPS: usize> AffineSuper<GROUPS> {
    /// Weights to integers from 0 to `levels`, with scales and minimums from 0 to `scale_levels`.
    pub(super) fn search(x: &[f32; SUPER], levels: u8, scale_levels: u8) -> Self {
        let (levels, scale_levels) = (f64::from(levels), f64::from(scale_levels));
        let group_len = SUPER / GROUPS;
        let groups: [Affine; GROUPS] =
            std::array::from_fn(|g| Affine::search(&x[g * group_len..][..group_len], levels));
        let largest = |of: fn(&Affine) -> f64| groups.iter().map(of).fold(0.0, f64::max);
        let d = to_f16(largest(|g| g.scale) / scale_levels);
        let dmin = to_f16(largest(|g| g.min) / scale_levels);
        let scale = groups.map(|g| round_to(g.scale, d.into(), 0.0, scale_levels) as u8);
        let min = groups.map(|g| round_to(g.min, dmin.into(), 0.0, scale_levels) as u8);
        let q = std::array::from_fn(|i| {
            let g = i / group_len;
            let group = Affine {
                scale: f64::from(d) * f64::from(scale[g]),
                min: f64::from(dmin) * f64::from(min[g]),
            };
            group.quantize(x[i], levels) as u8
        });
        Self {
            d,
            dmin,
            scale,
            min,
            q,
        }
    }
}

/// The range of a signed integer of a format, both ends included.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) lo: i8,
    pub(super) hi: i8,
}

impl Span {
    fn round(self, x: f64, step: f64) -> f64 {
        round_to(x, step, self.lo.into(), self.hi.into())
    }

    fn squared_error(self, x: &[f32], scale: f64) -> f64 {
        let error = |x: f64| scale * self.round(x, scale) - x;
        x.iter().map(|&x| error(x.into()).powi(2)).sum()
    }

    /// The scale (of either sign) for `w ≈ scale·q` that was found best.
    fn search(self, x: &[f32]) -> f64 {
        let extreme = f64::from(signed_extreme(x));
        // Maps the extreme to `hi`: nothing is cut, so no choice is worse than half a step.
        let mut best = extreme / f64::from(self.hi);
        let mut least = self.squared_error(x, best);
        for end in [self.lo, self.hi] {
            for step in STEPS {
                let end = f64::from(end);
                let scale = extreme / (end + end.signum() * 0.1 * f64::from(step));
                let (mut sqx, mut sqq) = (0.0, 0.0);
                for &x in x {
                    let q = self.round(x.into(), scale);
                    sqx += q * f64::from(x);
                    sqq += q * q;
                }
                let fit = sqx / sqq;
                if !fit.is_finite() {
                    continue;
                }
                let error = self.squared_error(x, fit);
                if error < least {
                    (best, least) = (fit, error);
                }
            }
        }
        best
    }
}

/// A symmetric super-block with 16 groups of 16: `w ≈ d·scale·q`.
pub(super) struct SymmetricSuper {
    pub(super) d: f16,
    pub(super) scale: [i8; 16],
    pub(super) q: [i8; SUPER],
}

impl SymmetricSuper {
    /// Weights to integers in `weights`, with scales in `scales`.
    pub(super) fn search(x: &[f32; SUPER], weights: Span, scales: Span) -> Self {
        let (groups, _) = x.as_chunks::<16>();
        let found: [f64; 16] = std::array::from_fn(|g| weights.search(&groups[g]));
        let larger = |best: f64, &s: &f64| if s.abs() > best.abs() { s } else { best };
        // The largest scale takes the low end, which reaches one further than the high end.
        let d = to_f16(found.iter().fold(0.0, larger) / f64::from(scales.lo));
        let scale = found.map(|s| scales.round(s, d.into()) as i8);
        let q = std::array::from_fn(|i| {
            let scale = f64::from(d) * f64::from(scale[i / 16]);
            weights.round(x[i].into(), scale) as i8
        });
        Self { d, scale, q }
    }
}
