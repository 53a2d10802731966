//! How a file describes its RoPE: base, part of a head, and context extension.

use super::Source;
use crate::error::{PocketError, Result};
use crate::kernels::{RopePairing, RopeScaling, RopeSpec};

impl Source<'_> {
    /// The model's RoPE, with the context extension the file names. The tensor `divisors` has a
    /// divisor for each frequency, where the file has it.
    pub fn rope(
        &self,
        pairing: RopePairing,
        head_dim: usize,
        base: f32,
        divisors: &str,
    ) -> Result<RopeSpec> {
        let dims = self
            .optional_size("rope.dimension_count")?
            .unwrap_or(head_dim);
        if dims % 2 != 0 || dims > head_dim {
            return Err(PocketError::corrupt(
                format!("{dims} of {head_dim} elements cannot be turned in pairs"),
                self.key("rope.dimension_count"),
            ));
        }
        let base = self.optional_f32("rope.freq_base")?.unwrap_or(base);
        if base <= 0.0 {
            return Err(PocketError::corrupt(
                format!("{base} is not positive"),
                self.key("rope.freq_base"),
            ));
        }
        let factors = match self.has(divisors) {
            true => Some(self.rope_factors(divisors, dims)?),
            false => None,
        };
        Ok(RopeSpec {
            dims,
            base,
            pairing,
            scaling: self.divided(self.rope_scaling()?, factors, dims / 2)?,
        })
    }

    /// `scaling` together with a divisor for each of the `pairs` frequencies and the magnitude the
    /// file may give.
    fn divided(
        &self,
        scaling: RopeScaling,
        factors: Option<Vec<f32>>,
        pairs: usize,
    ) -> Result<RopeScaling> {
        let magnitude = self
            .optional_f32("rope.scaling.attn_factor")?
            .unwrap_or(1.0);
        let factor = match scaling {
            RopeScaling::Yarn { .. } if factors.is_some() => {
                return Err(PocketError::unsupported(
                    "RoPE with both YaRN and a tensor of divisors",
                ));
            }
            RopeScaling::Yarn { .. } => return Ok(scaling),
            _ if factors.is_none() && magnitude == 1.0 => return Ok(scaling),
            RopeScaling::Linear { factor } => factor,
            _ => 1.0,
        };
        let factors = factors.unwrap_or_else(|| vec![1.0; pairs]);
        Ok(RopeScaling::Factors {
            factors: factors.iter().map(|f| f * factor).collect(),
            magnitude,
        })
    }

    fn rope_scaling(&self) -> Result<RopeScaling> {
        let key = self.key("rope.scaling.type");
        let kind = self.gguf.metadata().str(&key)?;
        let factor = match self.optional_f32("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            // How files of 2023 spelled it.
            None => self.optional_f32("rope.scale_linear")?,
        };
        let factor = factor.filter(|f| *f != 0.0).unwrap_or(1.0);
        if factor < 0.0 {
            return Err(PocketError::corrupt(
                format!("{factor} is negative"),
                self.key("rope.scaling.factor"),
            ));
        }
        match kind {
            None | Some("linear") if factor != 1.0 => Ok(RopeScaling::Linear { factor }),
            None | Some("none" | "linear" | "longrope") => Ok(RopeScaling::None),
            Some("yarn") => Ok(RopeScaling::Yarn {
                factor,
                original_context: self
                    .optional_size("rope.scaling.original_context_length")?
                    .unwrap_or(self.trained_context),
                beta_fast: self
                    .optional_f32("rope.scaling.yarn_beta_fast")?
                    .unwrap_or(32.0),
                beta_slow: self
                    .optional_f32("rope.scaling.yarn_beta_slow")?
                    .unwrap_or(1.0),
                attention_factor: self
                    .optional_f32("rope.scaling.attn_factor")?
                    .unwrap_or(1.0),
            }),
            Some(other) => Err(PocketError::unsupported(format!(
                "RoPE scaling \"{other}\" (key {key})"
            ))),
        }
    }

    /// Per-pair divisors of the frequencies from a tensor of the file.
    pub fn rope_factors(&self, name: &str, dims: usize) -> Result<Vec<f32>> {
        let factors = self.values(name, dims / 2)?;
        match factors.iter().find(|f| !f.is_finite() || **f <= 0.0) {
            Some(bad) => Err(PocketError::corrupt(
                format!("{bad} cannot divide a frequency"),
                name,
            )),
            None => Ok(factors),
        }
    }
}
