//! Where an architecture's page reads from: metadata under the architecture's prefix and tensors
//! by name, every number and shape checked.

mod rope;

use std::cell::RefCell;
use std::collections::HashSet;

use crate::error::{PocketError, Result};
use crate::gguf::{Gguf, TensorInfo, Value};
use crate::kernels::{
    Activation, Attention, Blocks, Compute, Head, Linear, Matrix, Mlp, Norm, Vector,
};
use crate::quant;

/// Bounds no real model comes near; they keep arithmetic on sizes far from overflow.
const MAX_DIM: usize = 1 << 20;
const MAX_LAYERS: usize = 1 << 12;
const MAX_CONTEXT: usize = 1 << 26;

/// What is read of a file.
#[derive(Clone, Copy)]
pub enum Reading<'a> {
    /// Everything. The function gets the bytes of each tensor once it is in its place; when it
    /// returns false, reading ends with an error.
    Whole(&'a dyn Fn(u64) -> bool),
    /// Metadata and shapes: matrices are mapped as they always are, but vectors are all ones.
    Outline,
}

/// A model file as the pages see it.
pub struct Source<'a> {
    gguf: &'a Gguf,
    prefix: &'a str,
    compute: &'a Compute,
    reading: Reading<'a>,
    /// Names of the tensors that a page has asked for.
    read: RefCell<HashSet<&'a str>>,
    /// Elements of a hidden state.
    pub dim: usize,
    /// Number of layers.
    pub layers: usize,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// The context this model will be run with.
    pub context: usize,
    /// The context the file says the model can use.
    pub trained_context: usize,
    /// Added to the mean square in norms.
    pub eps: f32,
}

impl<'a> Source<'a> {
    /// Reads what every architecture has.
    pub(super) fn new(
        gguf: &'a Gguf,
        prefix: &'a str,
        compute: &'a Compute,
        context: Option<usize>,
        reading: Reading<'a>,
    ) -> Result<Self> {
        let mut source = Self {
            gguf,
            prefix,
            compute,
            reading,
            read: RefCell::default(),
            dim: 0,
            layers: 0,
            vocab: 0,
            context: 0,
            trained_context: 0,
            eps: 0.0,
        };
        source.dim = source.size("embedding_length", MAX_DIM)?;
        source.layers = source.size("block_count", MAX_LAYERS)?;
        source.trained_context = source.size("context_length", MAX_CONTEXT)?;
        source.context = context.unwrap_or(source.trained_context);
        source.eps = source.require_f32("attention.layer_norm_rms_epsilon")?;
        source.vocab = source.info("token_embd.weight")?.rows();
        if let Some(experts) = source.optional_size("expert_count")? {
            return Err(PocketError::unsupported(format!(
                "mixture of experts ({experts} experts) in architecture \"{prefix}\""
            )));
        }
        Ok(source)
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// A size that must be there, at least 1 and at most `max`.
    pub fn size(&self, name: &str, max: usize) -> Result<usize> {
        let key = self.key(name);
        let value = self.gguf.metadata().require_usize(&key)?;
        check_size(value, max, key)
    }

    /// A size that may be absent (or zero, which means the same).
    pub fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let key = self.key(name);
        match self.gguf.metadata().usize(&key)? {
            None | Some(0) => Ok(None),
            Some(value) => check_size(value, MAX_CONTEXT, key).map(Some),
        }
    }

    /// A number that may be absent; never NaN or infinite.
    pub fn optional_f32(&self, name: &str) -> Result<Option<f32>> {
        let key = self.key(name);
        match self.gguf.metadata().f32(&key)? {
            Some(value) if !value.is_finite() => Err(PocketError::corrupt(
                format!("{value} is not a number"),
                key,
            )),
            value => Ok(value),
        }
    }

    fn require_f32(&self, name: &str) -> Result<f32> {
        self.optional_f32(name)?
            .ok_or_else(|| PocketError::corrupt("missing key", self.key(name)))
    }

    /// A size given once for all layers or as an array with an entry for each.
    pub fn per_layer(&self, name: &str) -> Result<Vec<usize>> {
        let key = self.key(name);
        if let Some(Value::Array(_)) = self.gguf.metadata().get(&key) {
            let values = self.gguf.metadata().require_u32s(&key)?;
            if values.len() != self.layers {
                return Err(PocketError::corrupt(
                    format!("{} entries for {} layers", values.len(), self.layers),
                    key,
                ));
            }
            let check = |v: &u32| check_size(*v as usize, MAX_DIM, key.clone());
            return values.iter().map(check).collect();
        }
        Ok(vec![self.size(name, MAX_DIM)?; self.layers])
    }

    /// Which layers see a window only: all but each `period`th. The file may give another period,
    /// or say it layer by layer.
    pub fn windowed_layers(&self, period: usize) -> Result<Vec<bool>> {
        let key = self.key("attention.sliding_window_pattern");
        let metadata = self.gguf.metadata();
        let period = match metadata.get(&key) {
            Some(Value::Array(_)) => {
                let windowed = metadata.require_bools(&key)?;
                if windowed.len() != self.layers {
                    return Err(PocketError::corrupt(
                        format!("{} entries for {} layers", windowed.len(), self.layers),
                        key,
                    ));
                }
                return Ok(windowed);
            }
            Some(_) => metadata.require_usize(&key)?,
            None => period,
        };
        // As in llama.cpp, a period of 0 leaves no layer without a window.
        let windowed = |i: usize| period == 0 || i % period < period - 1;
        Ok((0..self.layers).map(windowed).collect())
    }

    fn info(&self, name: &str) -> Result<&'a TensorInfo> {
        let info = self.gguf.tensor(name).ok_or_else(|| self.missing(name))?;
        self.read.borrow_mut().insert(&info.name);
        Ok(info)
    }

    /// Refuses a file with a tensor that its page did not ask for: whatever it stands for (a bias,
    /// a norm, an adapter), the model without it would be another one. Towers for images
    /// (`v.`, `mm.`) stand apart from the text model and may be there.
    pub(super) fn refuse_unread(&self) -> Result<()> {
        let read = self.read.borrow();
        let apart = |name: &str| name.starts_with("v.") || name.starts_with("mm.");
        let names = self.gguf.tensors().iter().map(|t| t.name.as_str());
        match names.into_iter().find(|n| !read.contains(n) && !apart(n)) {
            Some(name) => Err(PocketError::unsupported(format!(
                "tensor {name} in architecture \"{}\"",
                self.prefix
            ))),
            None => Ok(()),
        }
    }

    /// The error for a tensor that the architecture needs and the file has not.
    pub fn missing(&self, name: &str) -> PocketError {
        PocketError::corrupt(
            format!("missing tensor, needed by architecture \"{}\"", self.prefix),
            name,
        )
    }

    /// Refuses a file in which some layer is without one of the tensors `blk.N.{names}`.
    pub fn require_in_layers(&self, names: &[&str]) -> Result<()> {
        let all = (0..self.layers).flat_map(|i| names.iter().map(move |n| format!("blk.{i}.{n}")));
        match all.into_iter().find(|name| !self.has(name)) {
            Some(name) => Err(self.missing(&name)),
            None => Ok(()),
        }
    }

    /// Whether the file has a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.gguf.tensor(name).is_some()
    }

    /// A matrix in host memory: `[rows, cols]` in the field's order, `[cols, rows]` in the file's.
    fn mapped(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix> {
        let info = self.info(name)?;
        if info.shape.len() > 2 || info.rows() != rows || info.cols() != cols {
            return Err(PocketError::corrupt(
                format!("shape {:?}, expected [{cols}, {rows}]", info.shape),
                name,
            ));
        }
        Ok(Matrix {
            format: quant::format(info.ty)?,
            rows,
            cols,
            blocks: Blocks::Host(self.gguf.bytes(info)),
        })
    }

    /// Tells that the tensor `name` is where it belongs.
    fn placed(&self, name: &str) -> Result<()> {
        let bytes = self.gguf.tensor(name).map_or(0, |info| info.byte_len);
        match self.reading {
            Reading::Whole(go_on) if !go_on(bytes) => Err(PocketError::Internal {
                reason: "loading was stopped by its caller".into(),
            }),
            _ => Ok(()),
        }
    }

    /// The matrix `name`, `[rows, cols]`.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix> {
        let matrix = self.compute.place_matrix(self.mapped(name, rows, cols)?)?;
        self.placed(name)?;
        Ok(matrix)
    }

    /// A matrix whose rows are several matrices one after the other, taken apart.
    pub fn matrix_parts(&self, name: &str, rows: &[usize], cols: usize) -> Result<Vec<Matrix>> {
        let whole = self.mapped(name, rows.iter().sum(), cols)?;
        let mut first = 0;
        let parts = rows.iter().map(|n| {
            let part = whole.slice_rows(first..first + n);
            first += n;
            self.compute.place_matrix(part)
        });
        let parts = parts.collect::<Result<_>>()?;
        self.placed(name)?;
        Ok(parts)
    }

    fn values(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let matrix = self.mapped(name, 1, len)?;
        if let Reading::Outline = self.reading {
            return Ok(vec![1.0; len]);
        }
        let mut values = vec![0f32; len];
        (matrix.format.dequantize)(matrix.host(), &mut values);
        Ok(values)
    }

    /// The vector `name`, `[len]`.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vector> {
        let values = Vector::new(self.values(name, len)?);
        let vector = self.compute.place_vector(values)?;
        self.placed(name)?;
        Ok(vector)
    }

    /// `{stem}.weight` and, where the file has it, `{stem}.bias`.
    pub fn linear(&self, stem: &str, rows: usize, cols: usize) -> Result<Linear> {
        let bias = format!("{stem}.bias");
        Ok(Linear {
            weight: self.matrix(&format!("{stem}.weight"), rows, cols)?,
            bias: match self.has(&bias) {
                true => Some(self.vector(&bias, rows)?),
                false => None,
            },
        })
    }

    /// The norm `{stem}.weight`, `[len]`.
    pub fn norm(&self, stem: &str, len: usize) -> Result<Norm> {
        Ok(Norm {
            weight: self.vector(&format!("{stem}.weight"), len)?,
            eps: self.eps,
        })
    }

    /// The output head; the embedding table serves where the file has no `output.weight`.
    pub fn head(&self, embedding: &Matrix, softcap: Option<f32>) -> Result<Head> {
        let output = match self.has("output.weight") {
            true => self.linear("output", self.vocab, self.dim)?,
            false => Linear {
                weight: embedding.clone(),
                bias: None,
            },
        };
        Ok(Head {
            norm: self.norm("output_norm", self.dim)?,
            output,
            softcap,
        })
    }

    /// Heads of each layer: `(heads, kv_heads, head_dim)`, checked against each other.
    pub fn heads(&self) -> Result<Vec<(usize, usize, usize)>> {
        let heads = self.per_layer("attention.head_count")?;
        let kv_heads = match self
            .gguf
            .metadata()
            .get(&self.key("attention.head_count_kv"))
        {
            Some(_) => self.per_layer("attention.head_count_kv")?,
            None => heads.clone(),
        };
        let key_length = self.optional_size("attention.key_length")?;
        if let (Some(k), Some(v)) = (key_length, self.optional_size("attention.value_length")?)
            && k != v
        {
            return Err(PocketError::unsupported(format!(
                "keys of {k} and values of {v} elements a head"
            )));
        }
        let checked = heads.into_iter().zip(kv_heads).map(|(heads, kv_heads)| {
            let head_dim = key_length.unwrap_or(self.dim / heads);
            let bad = |what: String| PocketError::corrupt(what, self.key("attention.head_count"));
            if heads % kv_heads != 0 {
                return Err(bad(format!(
                    "{heads} query heads cannot share {kv_heads} key/value heads"
                )));
            }
            if key_length.is_none() && !self.dim.is_multiple_of(heads) {
                return Err(bad(format!(
                    "{heads} heads do not divide {} elements",
                    self.dim
                )));
            }
            if head_dim == 0 || head_dim % 2 != 0 || head_dim > 1024 {
                return Err(bad(format!("a head of {head_dim} elements")));
            }
            Ok((heads, kv_heads, head_dim))
        });
        let checked = checked.collect::<Result<Vec<_>>>()?;
        if checked.iter().any(|shape| shape.2 != checked[0].2) {
            return Err(PocketError::unsupported(
                "layers whose heads differ in size",
            ));
        }
        Ok(checked)
    }

    /// The attention of layer `i` as most architectures name its tensors: separate projections,
    /// biases and per-head norms where the file has them, no window, no cap.
    pub fn attention(&self, i: usize, shape: (usize, usize, usize)) -> Result<Attention> {
        let (heads, kv_heads, head_dim) = shape;
        let stem = |name: &str| format!("blk.{i}.{name}");
        let head_norm = |name: &str| match self.has(&stem(&format!("{name}.weight"))) {
            true => self.norm(&stem(name), head_dim).map(Some),
            false => Ok(None),
        };
        Ok(Attention {
            norm: self.norm(&stem("attn_norm"), self.dim)?,
            q: self.linear(&stem("attn_q"), heads * head_dim, self.dim)?,
            k: self.linear(&stem("attn_k"), kv_heads * head_dim, self.dim)?,
            v: self.linear(&stem("attn_v"), kv_heads * head_dim, self.dim)?,
            q_norm: head_norm("attn_q_norm")?,
            k_norm: head_norm("attn_k_norm")?,
            output: self.linear(&stem("attn_output"), self.dim, heads * head_dim)?,
            post_norm: None,
            heads,
            kv_heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            softcap: None,
            window: None,
            rope: 0,
        })
    }

    /// The feed-forward network of layer `i` with a SiLU gate and no norm after it.
    pub fn swiglu(&self, i: usize, hidden: usize) -> Result<Mlp> {
        let stem = |name: &str| format!("blk.{i}.{name}");
        Ok(Mlp {
            norm: self.norm(&stem("ffn_norm"), self.dim)?,
            gate: self.matrix(&stem("ffn_gate.weight"), hidden, self.dim)?,
            up: self.matrix(&stem("ffn_up.weight"), hidden, self.dim)?,
            down: self.linear(&stem("ffn_down"), self.dim, hidden)?,
            activation: Activation::Silu,
            post_norm: None,
        })
    }

    /// The feed-forward network of layer `i` with a GELU gate and a norm after it.
    pub fn geglu(&self, i: usize, hidden: usize) -> Result<Mlp> {
        Ok(Mlp {
            activation: Activation::Gelu,
            post_norm: Some(self.norm(&format!("blk.{i}.post_ffw_norm"), self.dim)?),
            ..self.swiglu(i, hidden)?
        })
    }
}

fn check_size(value: usize, max: usize, key: String) -> Result<usize> {
    if value == 0 || value > max {
        return Err(PocketError::corrupt(
            format!("{value} is not in 1..={max}"),
            key,
        ));
    }
    Ok(value)
}
