//! The seam on a GPU: CubeCL kernels that read GGUF blocks as they are.
//!
//! ```text
//! ops.rs: the launches of an operation
//!   embed.rs   norm.rs   matmul.rs ─┬─ thin.rs (few rows)    rotate.rs   attention.rs
//!                                   └─ tiled.rs (many rows)
//!   layout/: 32 weights of a block, one implementation per format
//! place.rs: weights, caches and angles to the device    engine.rs: adapter, limits, reading back
//! ```
//!
//! Weights are dequantized in registers as they are used; activations and sums are f32. Every
//! reduction has a fixed order that does not depend on the number of rows, so a row's result is
//! bitwise the same alone and in any batch. There is no autotuning and no fusion: the first launch
//! of a variant compiles it, later ones only enqueue.
//!
//! Kernels keep to what every WebGPU adapter has: at most 8 buffers, 16 KiB of workgroup memory,
//! 128 units, no subgroup operations, no 16-bit types.

mod attention;
mod cache;
mod embed;
mod engine;
mod launch;
mod layout;
mod matmul;
mod norm;
mod ops;
mod place;
mod rotate;
mod thin;
mod tiled;

pub use cache::DeviceKv;
pub use engine::Engine;
pub use place::{DeviceBlocks, DeviceValues, placed_bytes};
pub use rotate::DeviceRope;
