//! The seam's six operations as sequences of launches.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::attention::attend;
use super::cache::DeviceKv;
use super::embed::embed;
use super::matmul::{Finish, Place, matmul};
use super::norm::norm;
use super::rotate::rotate;
use crate::kernels::kv::KvLayer;
use crate::kernels::rope::RopeTable;
use crate::kernels::weights::{Attention, Head, Linear, Matrix, Mlp, Norm};
use crate::kernels::{Compute, Kernels};

/// Rows of a `[n, width]` tensor.
fn rows(tensor: &CubeTensor) -> usize {
    tensor.meta.shape()[0]
}

/// The cache on the device.
fn device(cache: &KvLayer) -> &DeviceKv {
    match cache {
        KvLayer::Device(cache) => cache,
        _ => unreachable!("a cache is used with the engine that made it"),
    }
}

impl Kernels for CubeBackend {
    fn embed(
        compute: &Compute,
        ids: IntTensor<Self>,
        table: &Matrix,
        scale: f32,
    ) -> FloatTensor<Self> {
        let engine = compute.gpu();
        let n = rows(&ids);
        let x = embed(engine, &ids.handle, n, table, scale);
        engine.tensor(x, n, table.cols)
    }

    fn qkv(
        compute: &Compute,
        x: FloatTensor<Self>,
        layer: &Attention,
        rope: &RopeTable,
        cache: &mut KvLayer,
        position: usize,
    ) -> FloatTensor<Self> {
        let engine = compute.gpu();
        let n = rows(&x);
        let x = norm(engine, &x.handle, (0, n), &layer.norm, None);
        let stride = (layer.heads + 2 * layer.kv_heads) * layer.head_dim;
        let out = engine.floats(n * stride);
        let mut first = 0;
        for linear in [&layer.q, &layer.k, &layer.v] {
            let bias = linear.bias.as_ref();
            let place = Place {
                out: &out,
                stride,
                first,
            };
            matmul(engine, (&x, n), &linear.weight, bias, Finish::Store, &place);
            first += linear.weight.rows;
        }
        let q = rotate(engine, &out, layer, rope, device(cache), position);
        engine.tensor(q, n, layer.heads * layer.head_dim)
    }

    fn attend(
        compute: &Compute,
        q: FloatTensor<Self>,
        layer: &Attention,
        cache: &KvLayer,
        position: usize,
    ) -> FloatTensor<Self> {
        let engine = compute.gpu();
        let n = rows(&q);
        let a = attend(engine, &q.handle, n, layer, device(cache), position);
        engine.tensor(a, n, layer.heads * layer.head_dim)
    }

    fn matmul_add(
        compute: &Compute,
        a: FloatTensor<Self>,
        linear: &Linear,
        post_norm: Option<&Norm>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let engine = compute.gpu();
        let (n, width) = (rows(&a), linear.weight.rows);
        let out = engine.floats(n * width);
        let (bias, residual) = (linear.bias.as_ref(), &residual.handle);
        let place = Place {
            out: &out,
            stride: width,
            first: 0,
        };
        let finish = match post_norm {
            Some(_) => Finish::Store,
            None => Finish::Add(residual),
        };
        matmul(engine, (&a.handle, n), &linear.weight, bias, finish, &place);
        let x = match post_norm {
            Some(post_norm) => norm(engine, &out, (0, n), post_norm, Some(residual)),
            None => out,
        };
        engine.tensor(x, n, width)
    }

    fn gated_mlp(compute: &Compute, x: FloatTensor<Self>, mlp: &Mlp) -> FloatTensor<Self> {
        let engine = compute.gpu();
        let (n, width) = (rows(&x), mlp.gate.rows);
        let x = norm(engine, &x.handle, (0, n), &mlp.norm, None);
        let (gate, out) = (engine.floats(n * width), engine.floats(n * width));
        let place = |out| Place {
            out,
            stride: width,
            first: 0,
        };
        matmul(
            engine,
            (&x, n),
            &mlp.gate,
            None,
            Finish::Store,
            &place(&gate),
        );
        let finish = Finish::Gated(mlp.activation, &gate);
        matmul(engine, (&x, n), &mlp.up, None, finish, &place(&out));
        engine.tensor(out, n, width)
    }

    fn head(
        compute: &Compute,
        x: FloatTensor<Self>,
        first: usize,
        m: usize,
        head: &Head,
    ) -> FloatTensor<Self> {
        let engine = compute.gpu();
        let x = norm(engine, &x.handle, (first, m), &head.norm, None);
        let width = head.output.weight.rows;
        let out = engine.floats(m * width);
        let place = Place {
            out: &out,
            stride: width,
            first: 0,
        };
        let finish = match head.softcap {
            Some(cap) => Finish::Cap(cap),
            None => Finish::Store,
        };
        let (weight, bias) = (&head.output.weight, head.output.bias.as_ref());
        matmul(engine, (&x, m), weight, bias, finish, &place);
        engine.tensor(out, m, width)
    }
}
