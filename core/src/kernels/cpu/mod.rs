//! The operations of the seam on the CPU: integer dot products inside blocks, one f32 addition
//! per block in a fixed order, the library's own threads.

use crate::kernels::{Activation, Attention, Head, HostKv, Linear, Matrix, Mlp, Norm, RopeTable};
use crate::quant::Format;

mod activations;
mod attention;
mod dot;
mod level;
mod matmul;
mod pool;

use activations::Activations;
use half::f16;
pub use level::{LEVELS, Level};
pub use pool::Pool;

/// Threads and instruction set of the CPU path.
pub struct Engine {
    pool: Pool,
    level: Level,
}

impl Engine {
    /// An engine with `threads` threads (at least one) and the best instruction set of this CPU.
    pub fn new(threads: usize) -> Self {
        Self::with_level(threads, Level::detect())
    }

    /// An engine that uses `level`, which this CPU must have ([`Level::available`]).
    pub fn with_level(threads: usize, level: Level) -> Self {
        let level = if level.available() {
            level
        } else {
            Level::Portable
        };
        Self {
            pool: Pool::new(threads),
            level,
        }
    }

    /// As many threads as this process may run at once.
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
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
        for (row, id) in out.chunks_exact_mut(table.cols).zip(ids) {
            (table.format.dequantize)(table.host_row(*id as usize), row);
            row.iter_mut().for_each(|x| *x *= scale);
        }
        out
    }

    /// See [`super::Kernels::qkv`].
    pub(super) fn qkv(
        &self,
        x: &[f32],
        layer: &Attention,
        rope: &RopeTable,
        cache: &mut HostKv<f16>,
        position: usize,
    ) -> Vec<f32> {
        let formats = [&layer.q, &layer.k, &layer.v].map(|linear| linear.weight.format);
        let x = self.normed(x, &layer.norm, &formats);
        let mut q = self.project(&x, &layer.q);
        let mut k = self.project(&x, &layer.k);
        let v = self.project(&x, &layer.v);
        let heads = |row: &mut [f32], i: usize, norm: Option<&Norm>| {
            for head in row.chunks_exact_mut(layer.head_dim) {
                if let Some(norm) = norm {
                    rms_norm(head, norm);
                }
                rope.turn(i, head);
            }
        };
        let (q_dim, kv_dim) = (
            layer.heads * layer.head_dim,
            layer.kv_heads * layer.head_dim,
        );
        for (i, row) in q.chunks_exact_mut(q_dim).enumerate() {
            heads(row, i, layer.q_norm.as_ref());
        }
        for (i, row) in k.chunks_exact_mut(kv_dim).enumerate() {
            heads(row, i, layer.k_norm.as_ref());
            let values = &v[i * kv_dim..(i + 1) * kv_dim];
            cache.write(position + i, row, values, f16::from_f32);
        }
        q
    }

    /// See [`super::Kernels::attend`].
    pub(super) fn attend(
        &self,
        q: &[f32],
        layer: &Attention,
        cache: &HostKv<f16>,
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
        let a = Activations::new(self, a, linear.weight.cols, &[linear.weight.format]);
        let mut out = self.project(&a, linear);
        if let Some(norm) = post_norm {
            for row in out.chunks_exact_mut(linear.weight.rows) {
                rms_norm(row, norm);
            }
        }
        for (x, r) in out.iter_mut().zip(residual) {
            *x += r;
        }
        out
    }

    /// See [`super::Kernels::gated_mlp`].
    pub(super) fn gated_mlp(&self, x: &[f32], mlp: &Mlp) -> Vec<f32> {
        let x = self.normed(x, &mlp.norm, &[mlp.gate.format, mlp.up.format]);
        let mut gate = matmul::matmul(self, &x, &mlp.gate);
        let up = matmul::matmul(self, &x, &mlp.up);
        let activation: Activation = mlp.activation;
        // 4,096 elements are tens of microseconds of exponentials: worth a thread's while.
        self.pool.for_each_piece(&mut gate, 4096, |i, piece| {
            for (g, u) in piece.iter_mut().zip(&up[i * 4096..]) {
                *g = activation.apply(*g) * u;
            }
        });
        gate
    }

    /// See [`super::Kernels::head`]; `x` holds only the rows asked for.
    pub(super) fn head(&self, x: &[f32], head: &Head) -> Vec<f32> {
        let x = self.normed(x, &head.norm, &[head.output.weight.format]);
        let mut logits = self.project(&x, &head.output);
        if let Some(cap) = head.softcap {
            logits.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
        }
        logits
    }

    /// Normed rows, quantized as the given weight formats need them.
    fn normed(&self, x: &[f32], norm: &Norm, formats: &[&'static Format]) -> Activations {
        let dim = norm.weight.len;
        let mut x = x.to_vec();
        self.pool
            .for_each_piece(&mut x, dim, |_, row| rms_norm(row, norm));
        Activations::new(self, &x, dim, formats)
    }

    /// `x · Wᵀ + bias`, `[n, rows]`.
    fn project(&self, x: &Activations, linear: &Linear) -> Vec<f32> {
        let mut out = matmul::matmul(self, x, &linear.weight);
        if let Some(bias) = &linear.bias {
            for row in out.chunks_exact_mut(linear.weight.rows) {
                for (x, b) in row.iter_mut().zip(bias.host()) {
                    *x += b;
                }
            }
        }
        out
    }
}

/// Root mean square norm of one row in place, its sum taken in 16 interleaved lanes.
fn rms_norm(row: &mut [f32], norm: &Norm) {
    let mut lanes = [0f32; 16];
    for chunk in row.chunks(16) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    let mean = dot::sum_lanes(&lanes) / row.len() as f32;
    let scale = 1.0 / (mean + norm.eps).sqrt();
    for (x, w) in row.iter_mut().zip(norm.weight.host()) {
        *x = *x * scale * w;
    }
}
