//! How kernels read 32 weights out of a matrix on the device, one implementation for each layout.
//!
//! A row is a sequence of blocks, a block holds one or more groups of 32 weights, and a kernel
//! reads one group at a time as eight quads. The common GGUF formats stay on the device exactly
//! as they are in the file; the others are widened, when they are uploaded, to 8-bit integers with
//! the scales they had, through the format's own [`Ints`].

mod float;
mod k_blocks;
mod legacy;
mod widened;
mod words;

use cubecl::prelude::*;

use crate::gguf::TensorType;
use crate::quant::{Format, Ints};

pub(super) use float::{Bf16Layout, F16Layout, F32Layout};
pub(super) use k_blocks::{Q4KLayout, Q5KLayout, Q6KLayout};
pub(super) use legacy::{Q4_0Layout, Q4_1Layout, Q5_0Layout, Q5_1Layout, Q8_0Layout};
pub(super) use widened::{SimpleLayout, SuperLayout, widen_simple, widen_super};
pub(super) use words::{Quad, half_bits};

/// Weights of a group: what one unit of a kernel reads at a time.
pub(super) const GROUP: usize = 32;

/// The reading of one block layout.
#[cube]
pub(super) trait BlockLayout: 'static + Send + Sync {
    /// The weights of group `group` of the block at byte address `block`: eight quads.
    fn quads(words: &[u32], block: u32, group: u32) -> Sequence<Quad>;
}

/// A layout of blocks on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
    Simple,
    Super,
}

/// Formats with a kernel variant of their own.
const NATIVE: &[(TensorType, Layout)] = &[
    (TensorType::F32, Layout::F32),
    (TensorType::F16, Layout::F16),
    (TensorType::BF16, Layout::Bf16),
    (TensorType::Q4_0, Layout::Q4_0),
    (TensorType::Q4_1, Layout::Q4_1),
    (TensorType::Q5_0, Layout::Q5_0),
    (TensorType::Q5_1, Layout::Q5_1),
    (TensorType::Q8_0, Layout::Q8_0),
    (TensorType::Q4K, Layout::Q4K),
    (TensorType::Q5K, Layout::Q5K),
    (TensorType::Q6K, Layout::Q6K),
];

impl Layout {
    /// The layout that matrices of `format` have on the device; `None` for a format that has
    /// neither a variant nor integers.
    pub(super) fn of(format: &Format) -> Option<Self> {
        let native = NATIVE.iter().find(|(ty, _)| *ty == format.ty);
        match (native, format.ints) {
            (Some((_, layout)), _) => Some(*layout),
            (None, Ints::Simple(_)) => Some(Self::Simple),
            (None, Ints::Super(_)) => Some(Self::Super),
            (None, Ints::Float) => None,
        }
    }

    /// Bytes of one block. Plain numbers count as blocks of one group.
    pub(super) fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 128,
            Self::F16 | Self::Bf16 => 64,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
            Self::Simple => 4 * widened::SIMPLE_WORDS,
            Self::Super => 4 * widened::SUPER_WORDS,
        }
    }

    /// Groups in one block.
    pub(super) fn groups(self) -> usize {
        match self {
            Self::Q4K | Self::Q5K | Self::Q6K | Self::Super => 8,
            _ => 1,
        }
    }

    /// Blocks of a row of `cols` weights. Only plain numbers may fill their last block partly.
    pub(super) fn row_blocks(self, cols: usize) -> usize {
        cols.div_ceil(GROUP * self.groups())
    }
}

/// Runs an expression with the type parameter that a [`Layout`] names.
macro_rules! with_layout {
    ($layout:expr, $L:ident => $body:expr) => {
        match $layout {
            $crate::kernels::gpu::layout::Layout::F32 => {
                type $L = $crate::kernels::gpu::layout::F32Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::F16 => {
                type $L = $crate::kernels::gpu::layout::F16Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Bf16 => {
                type $L = $crate::kernels::gpu::layout::Bf16Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q4_0 => {
                type $L = $crate::kernels::gpu::layout::Q4_0Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q4_1 => {
                type $L = $crate::kernels::gpu::layout::Q4_1Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q5_0 => {
                type $L = $crate::kernels::gpu::layout::Q5_0Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q5_1 => {
                type $L = $crate::kernels::gpu::layout::Q5_1Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q8_0 => {
                type $L = $crate::kernels::gpu::layout::Q8_0Layout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q4K => {
                type $L = $crate::kernels::gpu::layout::Q4KLayout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q5K => {
                type $L = $crate::kernels::gpu::layout::Q5KLayout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Q6K => {
                type $L = $crate::kernels::gpu::layout::Q6KLayout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Simple => {
                type $L = $crate::kernels::gpu::layout::SimpleLayout;
                $body
            }
            $crate::kernels::gpu::layout::Layout::Super => {
                type $L = $crate::kernels::gpu::layout::SuperLayout;
                $body
            }
        }
    };
}
pub(super) use with_layout;
