//! The one seam to hardware: six coarse operations, three implementations of each.
//!
//! ```text
//! Model ──> Compute (methods below) ──> burn Dispatch ─┬─ Flex ──> reference.rs  plain f32/f64, the oracle
//!                                                      │       └─> cpu/          integer dot products, threads
//!                                                      └─ Cube ──> gpu/          CubeCL kernels on burn-wgpu
//! ```
//!
//! Activations are burn tensors; which backend runs is decided by burn's run-time dispatch on
//! them. Weights and caches are plain arguments rather than tensors: a weight stays in GGUF blocks
//! inside the file mapping (or in one or more GPU buffers, when it is larger than one binding may
//! be), which no tensor type describes. See `docs/adr/0002-kernel-seam.md`.
//!
//! The grain is coarse on purpose: one operation is one parallel region on the CPU and one or two
//! dispatches on the GPU.
//!
//! **Exactness.** On one device the result for a token is bitwise the same whether its row is
//! computed alone or together with any other rows: no implementation may let the number of rows
//! change the order of a row's own additions.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::error::{PocketError, Result};

pub mod cpu;
mod flex;
#[cfg(feature = "gpu")]
pub mod gpu;
mod kv;
mod reference;
mod rope;
mod weights;

pub use kv::{HostKv, KvLayer, KvType, PAGE};
pub use rope::{RopePairing, RopeScaling, RopeSpec, RopeTable};
pub use weights::{Activation, Attention, Blocks, Head, Linear, Matrix, Mlp, Norm, Values, Vector};

/// The seam, as a burn backend extension. Shapes: `n` rows (tokens) of one sequence.
///
/// Inputs were validated when the model was loaded and when the batch was built, so operations do
/// not fail; a device error appears when a result is read ([`Compute::read`]).
#[cfg_attr(feature = "gpu", backend_extension(Flex, Cube))]
#[cfg_attr(not(feature = "gpu"), backend_extension(Flex))]
pub trait Kernels: Backend {
    /// Rows of a quantized table: `ids[n]` → `x[n, dim]`, each multiplied by `scale`.
    fn embed(
        compute: &Compute,
        ids: IntTensor<Self>,
        table: &Matrix,
        scale: f32,
    ) -> FloatTensor<Self>;

    /// Norm, then the q, k and v projections (with bias and per-head norms where the layer has
    /// them), then RoPE; appends k and v to `cache` at positions `position..position + n`.
    /// `x[n, dim]` → `q[n, heads · head_dim]`.
    fn qkv(
        compute: &Compute,
        x: FloatTensor<Self>,
        layer: &Attention,
        rope: &RopeTable,
        cache: &mut KvLayer,
        position: usize,
    ) -> FloatTensor<Self>;

    /// Causal grouped-query attention of `q[n, heads · head_dim]` (row `i` at position
    /// `position + i`) over the cache, with the layer's window and soft-cap
    /// → `a[n, heads · head_dim]`.
    fn attend(
        compute: &Compute,
        q: FloatTensor<Self>,
        layer: &Attention,
        cache: &KvLayer,
        position: usize,
    ) -> FloatTensor<Self>;

    /// `residual + post_norm(a · Wᵀ + bias)`: `a[n, cols]`, `residual[n, rows]` → `x[n, rows]`.
    fn matmul_add(
        compute: &Compute,
        a: FloatTensor<Self>,
        linear: &Linear,
        post_norm: Option<&Norm>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Norm, gate and up projections, `activation(gate) · up`: `x[n, dim]` → `h[n, hidden]`.
    fn gated_mlp(compute: &Compute, x: FloatTensor<Self>, mlp: &Mlp) -> FloatTensor<Self>;

    /// Norm and output projection of rows `first..first + m` of `x[n, dim]` → `logits[m, vocab]`,
    /// soft-capped where the head says so.
    fn head(
        compute: &Compute,
        x: FloatTensor<Self>,
        first: usize,
        m: usize,
        head: &Head,
    ) -> FloatTensor<Self>;
}

/// Which implementation runs, and what it needs to run.
pub enum Compute {
    /// The oracle: dequantized weights, unquantized activations, f64 sums. Slow.
    Reference(cpu::Engine),
    /// SIMD integer kernels on the library's own threads.
    Cpu(cpu::Engine),
    /// CubeCL kernels on burn-wgpu.
    #[cfg(feature = "gpu")]
    Gpu(gpu::Engine),
}

impl Compute {
    /// The device's name as users spell it: `reference`, `cpu` or `gpu`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reference(_) => "reference",
            Self::Cpu(_) => "cpu",
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => "gpu",
        }
    }

    /// A sentence about the hardware in use (SIMD level and threads, or adapter and driver).
    pub fn describe(&self) -> String {
        match self {
            Self::Reference(engine) => format!("reference, {} threads", engine.threads()),
            Self::Cpu(engine) => engine.describe(),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.describe(),
        }
    }

    /// The burn device that activations live on.
    pub fn device(&self) -> Device {
        match self {
            Self::Reference(_) | Self::Cpu(_) => Device::flex(),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.device(),
        }
    }

    /// The CPU threads and SIMD level, for the implementations that run on Flex.
    pub(crate) fn cpu(&self) -> &cpu::Engine {
        match self {
            Self::Reference(engine) | Self::Cpu(engine) => engine,
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => unreachable!("a Flex tensor never meets a GPU engine"),
        }
    }

    /// The GPU engine, for the implementation that runs on CubeCL.
    #[cfg(feature = "gpu")]
    pub(crate) fn gpu(&self) -> &gpu::Engine {
        match self {
            Self::Gpu(engine) => engine,
            _ => unreachable!("a Cube tensor never meets a CPU engine"),
        }
    }

    /// Moves a matrix to where this device computes: on the CPU it stays in the mapping.
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] or [`PocketError::DeviceLost`] from a GPU.
    pub fn place_matrix(&self, matrix: Matrix) -> Result<Matrix> {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.place_matrix(matrix),
            _ => Ok(matrix),
        }
    }

    /// Moves a vector to where this device computes.
    ///
    /// # Errors
    /// As [`Compute::place_matrix`].
    pub fn place_vector(&self, vector: Vector) -> Result<Vector> {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.place_vector(vector),
            _ => Ok(vector),
        }
    }

    /// An empty cache for one layer that will hold up to `capacity` positions.
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] when a GPU cannot hold it; on the CPU memory is taken
    /// page by page as positions are appended.
    pub fn kv_layer(&self, kv_heads: usize, head_dim: usize, capacity: usize) -> Result<KvLayer> {
        let _ = capacity; // only a GPU takes its memory at once
        match self {
            Self::Reference(_) => Ok(KvLayer::host(KvType::F32, kv_heads, head_dim)),
            Self::Cpu(engine) => Ok(KvLayer::host(engine.kv(), kv_heads, head_dim)),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.kv_layer(kv_heads, head_dim, capacity),
        }
    }

    /// The rotation angles of positions `position..position + n` for every RoPE variant of a
    /// model, made once per batch and shared by its layers.
    pub fn rope_table(&self, spec: &RopeSpec, position: usize, n: usize) -> RopeTable {
        let table = RopeTable::new(spec, position, n);
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.place_rope(table),
            _ => table,
        }
    }

    /// [`Kernels::embed`] on this device.
    pub fn embed(&self, ids: &[u32], table: &Matrix, scale: f32) -> Tensor<2> {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let n = ids.len();
        let ids =
            Tensor::<1, Int>::from_data(TensorData::new(ids, [n]), (&self.device(), DType::I32));
        Tensor::from_dispatch(Dispatch::embed(self, ids.into_dispatch(), table, scale))
    }

    /// [`Kernels::qkv`] on this device.
    pub fn qkv(
        &self,
        x: &Tensor<2>,
        layer: &Attention,
        rope: &RopeTable,
        cache: &mut KvLayer,
        position: usize,
    ) -> Tensor<2> {
        let x = x.clone().into_dispatch();
        Tensor::from_dispatch(Dispatch::qkv(self, x, layer, rope, cache, position))
    }

    /// [`Kernels::attend`] on this device.
    pub fn attend(
        &self,
        q: Tensor<2>,
        layer: &Attention,
        cache: &KvLayer,
        position: usize,
    ) -> Tensor<2> {
        let q = q.into_dispatch();
        Tensor::from_dispatch(Dispatch::attend(self, q, layer, cache, position))
    }

    /// [`Kernels::matmul_add`] on this device.
    pub fn matmul_add(
        &self,
        a: Tensor<2>,
        linear: &Linear,
        post_norm: Option<&Norm>,
        residual: Tensor<2>,
    ) -> Tensor<2> {
        let (a, residual) = (a.into_dispatch(), residual.into_dispatch());
        Tensor::from_dispatch(Dispatch::matmul_add(self, a, linear, post_norm, residual))
    }

    /// [`Kernels::gated_mlp`] on this device.
    pub fn gated_mlp(&self, x: &Tensor<2>, mlp: &Mlp) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::gated_mlp(self, x.clone().into_dispatch(), mlp))
    }

    /// [`Kernels::head`] on this device.
    pub fn head(&self, x: Tensor<2>, first: usize, m: usize, head: &Head) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::head(self, x.into_dispatch(), first, m, head))
    }

    /// Waits for a result and copies it to the host, row by row.
    ///
    /// # Errors
    /// [`PocketError::DeviceLost`] when the device failed before or during the computation.
    pub fn read(&self, tensor: Tensor<2>) -> Result<Vec<f32>> {
        #[cfg(feature = "gpu")]
        if let Self::Gpu(engine) = self {
            return engine.read(tensor);
        }
        let lost = |reason: String| PocketError::DeviceLost { reason };
        let data = tensor
            .try_into_data()
            .map_err(|error| lost(format!("{error:?}")))?;
        data.try_into_vec::<f32>()
            .map_err(|error| lost(format!("{error:?}")))
    }
}
