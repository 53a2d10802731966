//! The seam on burn's CPU device: unwraps Flex tensors to slices and calls the engine in use.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::TensorData;
use burn_flex::{Flex, FlexTensor};

use super::{
    Attention, Compute, Head, Kernels, KvLayer, Linear, Matrix, Mlp, Norm, RopeTable, reference,
};

/// `[n, width]` rows as a Flex tensor.
fn tensor(rows: Vec<f32>, width: usize) -> FlexTensor {
    let n = rows.len() / width;
    FlexTensor::from_data(TensorData::new(rows, [n, width]))
}

/// A cache on the GPU would have been made for another engine.
#[cfg(feature = "gpu")]
const FOREIGN: &str = "a cache is used with the engine that made it";

impl Kernels for Flex {
    fn embed(
        compute: &Compute,
        ids: IntTensor<Self>,
        table: &Matrix,
        scale: f32,
    ) -> FloatTensor<Self> {
        let ids = ids.storage::<i32>();
        let out = match compute {
            Compute::Reference(_) => reference::embed(ids, table, scale),
            _ => compute.cpu().embed(ids, table, scale),
        };
        tensor(out, table.cols)
    }

    fn qkv(
        compute: &Compute,
        x: FloatTensor<Self>,
        layer: &Attention,
        rope: &RopeTable,
        cache: &mut KvLayer,
        position: usize,
    ) -> FloatTensor<Self> {
        let (x, engine) = (x.storage::<f32>(), compute.cpu());
        let out = match cache {
            KvLayer::F32(cache) => reference::qkv(engine.pool(), x, layer, rope, cache, position),
            KvLayer::F16(cache) => engine.qkv(x, layer, rope, cache, position),
            KvLayer::Q8_0(cache) => engine.qkv(x, layer, rope, cache, position),
            #[cfg(feature = "gpu")]
            KvLayer::Device(_) => unreachable!("{FOREIGN}"),
        };
        tensor(out, layer.heads * layer.head_dim)
    }

    fn attend(
        compute: &Compute,
        q: FloatTensor<Self>,
        layer: &Attention,
        cache: &KvLayer,
        position: usize,
    ) -> FloatTensor<Self> {
        let (q, engine) = (q.storage::<f32>(), compute.cpu());
        let out = match cache {
            KvLayer::F32(cache) => reference::attend(engine.pool(), q, layer, cache, position),
            KvLayer::F16(cache) => engine.attend(q, layer, cache, position),
            KvLayer::Q8_0(cache) => engine.attend(q, layer, cache, position),
            #[cfg(feature = "gpu")]
            KvLayer::Device(_) => unreachable!("{FOREIGN}"),
        };
        tensor(out, layer.heads * layer.head_dim)
    }

    fn matmul_add(
        compute: &Compute,
        a: FloatTensor<Self>,
        linear: &Linear,
        post_norm: Option<&Norm>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (a, residual) = (a.storage::<f32>(), residual.storage::<f32>());
        let engine = compute.cpu();
        let out = match compute {
            Compute::Reference(_) => {
                reference::matmul_add(engine.pool(), a, linear, post_norm, residual)
            }
            _ => engine.matmul_add(a, linear, post_norm, residual),
        };
        tensor(out, linear.weight.rows)
    }

    fn gated_mlp(compute: &Compute, x: FloatTensor<Self>, mlp: &Mlp) -> FloatTensor<Self> {
        let (x, engine) = (x.storage::<f32>(), compute.cpu());
        let out = match compute {
            Compute::Reference(_) => reference::gated_mlp(engine.pool(), x, mlp),
            _ => engine.gated_mlp(x, mlp),
        };
        tensor(out, mlp.gate.rows)
    }

    fn head(
        compute: &Compute,
        x: FloatTensor<Self>,
        first: usize,
        m: usize,
        head: &Head,
    ) -> FloatTensor<Self> {
        let dim = head.norm.weight.len;
        let rows = &x.storage::<f32>()[first * dim..(first + m) * dim];
        let engine = compute.cpu();
        let out = match compute {
            Compute::Reference(_) => reference::head(engine.pool(), rows, head),
            _ => engine.head(rows, head),
        };
        tensor(out, head.output.weight.rows)
    }
}
