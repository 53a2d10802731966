//! Rotary position embedding: which angles, and which elements they turn (arXiv 2104.09864).

use std::f64::consts::PI;

/// Which two elements of a head one angle turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairing {
    /// Elements `2i` and `2i + 1`: Llama-family GGUFs, whose q and k rows the converter permuted.
    Adjacent,
    /// Elements `i` and `i + dims/2` (GPT-NeoX): Qwen, Gemma, Phi.
    Halves,
}

/// How a model's frequencies were stretched to a longer context than it was first trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions divided by `factor` (position interpolation, arXiv 2306.15595).
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// Low frequencies interpolated, high ones kept, with a smooth ramp between
    /// (YaRN, arXiv 2309.00071).
    Yarn {
        /// The divisor of the interpolated frequencies.
        factor: f32,
        /// The context the model was first trained on.
        original_context: usize,
        /// Full turns above which a frequency is kept as it is.
        beta_fast: f32,
        /// Full turns below which a frequency is fully interpolated.
        beta_slow: f32,
        /// Extra magnitude beside YaRN's own `1 + 0.1 · ln(factor)`.
        attention_factor: f32,
    },
    /// A divisor for each frequency, from the file (`rope_freqs` of Llama 3.1 and later,
    /// `rope_factors_short`/`_long` of Phi 3), and a magnitude for q and k.
    Factors {
        /// `dims / 2` divisors.
        factors: Vec<f32>,
        /// Multiplies cosine and sine.
        magnitude: f32,
    },
}

/// One RoPE variant of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeSpec {
    /// Elements of a head that are turned, counted from its first; even.
    pub dims: usize,
    /// The base of the geometric series of frequencies.
    pub base: f32,
    /// Which elements form pairs.
    pub pairing: RopePairing,
    /// Context extension.
    pub scaling: RopeScaling,
}

impl RopeSpec {
    /// The angle per position of each of the `dims / 2` pairs, and the magnitude of the rotation.
    pub fn frequencies(&self) -> (Vec<f64>, f64) {
        let half = self.dims / 2;
        let exponent = |i: usize| -2.0 * i as f64 / self.dims as f64;
        let plain = |i: usize| f64::from(self.base).powf(exponent(i));
        match &self.scaling {
            RopeScaling::None => ((0..half).map(plain).collect(), 1.0),
            RopeScaling::Linear { factor } => (
                (0..half).map(|i| plain(i) / f64::from(*factor)).collect(),
                1.0,
            ),
            RopeScaling::Factors { factors, magnitude } => (
                (0..half)
                    .map(|i| plain(i) / f64::from(factors[i]))
                    .collect(),
                f64::from(*magnitude),
            ),
            RopeScaling::Yarn {
                factor,
                original_context,
                beta_fast,
                beta_slow,
                attention_factor,
            } => {
                let factor = f64::from(*factor);
                // The (fractional) pair whose frequency makes `turns` full turns over the context.
                let pair_of = |turns: f32| {
                    self.dims as f64
                        * (*original_context as f64 / (f64::from(turns) * 2.0 * PI)).ln()
                        / (2.0 * f64::from(self.base).ln())
                };
                let low = pair_of(*beta_fast).floor().max(0.0);
                let high = pair_of(*beta_slow).ceil().min(self.dims as f64 - 1.0);
                let frequencies = (0..half)
                    .map(|i| {
                        let ramp = ((i as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
                        let kept = 1.0 - ramp;
                        plain(i) / factor * (1.0 - kept) + plain(i) * kept
                    })
                    .collect();
                let magnitude = f64::from(*attention_factor) * (1.0 + 0.1 * factor.ln());
                (frequencies, magnitude)
            }
        }
    }
}

/// Cosines and sines of a batch of positions: `[n, dims / 2]` each, times the magnitude.
///
/// Angles are taken in f64: in f32 the angle of the fastest pair would be off by 10⁻⁴ rad at
/// position 4,000.
pub struct RopeTable {
    /// Which elements form pairs.
    pub pairing: RopePairing,
    /// Elements of a head that are turned.
    pub dims: usize,
    /// Rows.
    pub n: usize,
    /// Row-major `[n, dims / 2]`.
    pub cos: Vec<f32>,
    /// Row-major `[n, dims / 2]`.
    pub sin: Vec<f32>,
    /// The same values where a GPU reads them.
    #[cfg(feature = "gpu")]
    pub device: Option<super::gpu::DeviceRope>,
}

impl RopeTable {
    /// The table of positions `position..position + n`.
    pub fn new(spec: &RopeSpec, position: usize, n: usize) -> Self {
        let (frequencies, magnitude) = spec.frequencies();
        let mut cos = Vec::with_capacity(n * frequencies.len());
        let mut sin = Vec::with_capacity(n * frequencies.len());
        for p in position..position + n {
            for f in &frequencies {
                let (s, c) = (p as f64 * f).sin_cos();
                cos.push((c * magnitude) as f32);
                sin.push((s * magnitude) as f32);
            }
        }
        Self {
            pairing: spec.pairing,
            dims: spec.dims,
            n,
            cos,
            sin,
            #[cfg(feature = "gpu")]
            device: None,
        }
    }

    /// Turns one head of row `row` in place.
    pub fn turn(&self, row: usize, head: &mut [f32]) {
        let half = self.dims / 2;
        let cos = &self.cos[row * half..(row + 1) * half];
        let sin = &self.sin[row * half..(row + 1) * half];
        for i in 0..half {
            let (a, b) = match self.pairing {
                RopePairing::Adjacent => (2 * i, 2 * i + 1),
                RopePairing::Halves => (i, i + half),
            };
            let (x, y) = (head[a], head[b]);
            head[a] = x * cos[i] - y * sin[i];
            head[b] = x * sin[i] + y * cos[i];
        }
    }
}
