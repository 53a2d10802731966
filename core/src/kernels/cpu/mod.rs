//! The operations of the seam on the CPU: integer dot products inside blocks, one f32 addition
//! per block in a fixed order, the library's own threads. Written once for all instruction sets: see
//! `lanes` and `docs/adr/0004-cpu-kernels.md`.
// Lane code runs over several arrays of registers with one index.
#![allow(clippy::needless_range_loop)]

use crate::kernels::{
    Attention, Head, HostKv, KvType, Linear, Matrix, Mlp, Norm, RopeTable, kv::Page,
};
use crate::quant::Format;

pub(super) mod activations;
mod attention;
mod cores;
mod direct;
mod elementwise;
pub(super) mod lanes;
mod level;
mod matmul;
mod multiply;
mod parts;
mod pool;
pub(crate) mod scratch;
mod tile;

use activations::Activations;
use elementwise::{Finish, NormRow};
pub use level::Level;
use matmul::Product;
pub use pool::Pool;

/// Threads and instruction set of the CPU path.
pub struct Engine {
    pool: Pool,
    level: Level,
    kv: KvType,
}

impl Engine {
    /// An engine with `threads` threads (at least one) and the best instruction set of this CPU.
    pub fn new(threads: usize) -> Self {
        Self::with_level(threads, Level::detect())
    }

    /// An engine that uses `level`, or plain Rust when this CPU has it not.
    pub fn with_level(threads: usize, level: Level) -> Self {
        let level = if level.available() {
            level
        } else {
            Level::Portable
        };
        Self {
            pool: Pool::new(threads),
            level,
            kv: KvType::default(),
        }
    }

    /// The same engine, with caches of another element type.
    #[must_use]
    pub fn with_kv(self, kv: KvType) -> Self {
        Self { kv, ..self }
    }

    /// The element type of this engine's caches.
    pub fn kv(&self) -> KvType {
        self.kv
    }

    /// The instruction set in use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// As many threads as there are fast cores that this process may use.
    pub fn default_threads() -> usize {
        cores::default_threads()
    }

    /// Threads that compute, the caller's included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The threads themselves.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A sentence for people: instruction set and threads.
    pub fn describe(&self) -> String {
        format!("cpu, {}, {} threads", self.level.name(), self.threads())
    }

    /// See [`super::Kernels::embed`].
    pub(super) fn embed(&self, ids: &[i32], table: &Matrix, scale: f32) -> Vec<f32> {
        let mut out = vec![0.0; ids.len() * table.cols];
        self.pool.for_each_piece(&mut out, table.cols, |i, row| {
            (table.format.dequantize)(table.host_row(ids[i] as usize), row);
            row.iter_mut().for_each(|x| *x *= scale);
        });
        out
    }

    /// See [`super::Kernels::qkv`].
    pub(super) fn qkv<P: Page>(
        &self,
        x: &[f32],
        layer: &Attention,
        rope: &RopeTable,
        cache: &mut HostKv<P>,
        position: usize,
    ) -> Vec<f32> {
        let linears = [&layer.q, &layer.k, &layer.v];
        let x = self.normed(x, &layer.norm, &linears.map(|linear| linear.weight.format));
        let outs = matmul::products(self, &x, &linears.map(|linear| biased(linear)));
        let [mut q, mut k, v] = outs.try_into().expect("three products give three results");
        self.turn_heads(&mut q, layer, layer.q_norm.as_ref(), layer.heads, rope);
        self.turn_heads(&mut k, layer, layer.k_norm.as_ref(), layer.kv_heads, rope);
        let width = layer.kv_heads * layer.head_dim;
        let rows = k.chunks_exact(width).zip(v.chunks_exact(width));
        for (i, (keys, values)) in rows.enumerate() {
            cache.write(position + i, keys, values);
        }
        q
    }

    /// Norms (where the layer has one) and turns every head of `rows[n, heads · head_dim]`.
    fn turn_heads(
        &self,
        rows: &mut [f32],
        layer: &Attention,
        norm: Option<&Norm>,
        heads: usize,
        rope: &RopeTable,
    ) {
        let width = heads * layer.head_dim;
        self.pool.for_each_piece(rows, width, |i, row| {
            for row in row.chunks_exact_mut(layer.head_dim) {
                if let Some(norm) = norm {
                    self.level.run(NormRow {
                        row,
                        norm,
                        residual: None,
                    });
                }
                rope.turn(i, row);
            }
        });
    }

    /// See [`super::Kernels::attend`].
    pub(super) fn attend<P: Page>(
        &self,
        q: &[f32],
        layer: &Attention,
        cache: &HostKv<P>,
        position: usize,
    ) -> Vec<f32> {
        attention::attend(self, q, layer, cache, position)
    }

    /// See [`super::Kernels::matmul_add`].
    pub(super) fn matmul_add(
        &self,
        a: &[f32],
        linear: &Linear,
        post_norm: Option<&Norm>,
        residual: &[f32],
    ) -> Vec<f32> {
        let w = &linear.weight;
        let a = Activations::new(self, a, w.cols, None, &[w.format]);
        let Some(norm) = post_norm else {
            let bias = linear.bias.as_ref().map(|bias| bias.host());
            let finish = Finish::Add { bias, residual };
            return self.product(&a, Product::Linear { w, finish });
        };
        let mut out = self.product(&a, biased(linear));
        self.pool.for_each_piece(&mut out, w.rows, |i, row| {
            let residual = Some(&residual[i * row.len()..][..row.len()]);
            self.level.run(NormRow {
                row,
                norm,
                residual,
            });
        });
        out
    }

    /// See [`super::Kernels::gated_mlp`].
    pub(super) fn gated_mlp(&self, x: &[f32], mlp: &Mlp) -> Vec<f32> {
        let x = self.normed(x, &mlp.norm, &[mlp.gate.format, mlp.up.format]);
        let product = Product::Gated {
            gate: &mlp.gate,
            up: &mlp.up,
            activation: mlp.activation,
        };
        self.product(&x, product)
    }

    /// See [`super::Kernels::head`]; `x` holds only the rows asked for.
    pub(super) fn head(&self, x: &[f32], head: &Head) -> Vec<f32> {
        let w = &head.output.weight;
        let x = self.normed(x, &head.norm, &[w.format]);
        let bias = head.output.bias.as_ref().map(|bias| bias.host());
        let finish = match head.softcap {
            Some(cap) => Finish::Cap { bias, cap },
            None => Finish::Bias(bias),
        };
        self.product(&x, Product::Linear { w, finish })
    }

    /// Normed rows, quantized as the given weight formats need them.
    fn normed(&self, x: &[f32], norm: &Norm, formats: &[&'static Format]) -> Activations {
        Activations::new(self, x, norm.weight.len, Some(norm), formats)
    }

    /// One product, `[n, rows]`.
    fn product(&self, x: &Activations, product: Product<'_>) -> Vec<f32> {
        matmul::products(self, x, &[product]).swap_remove(0)
    }
}

/// `x · Wᵀ + bias`.
fn biased(linear: &Linear) -> Product<'_> {
    Product::Linear {
        w: &linear.weight,
        finish: Finish::Bias(linear.bias.as_ref().map(|bias| bias.host())),
    }
}
