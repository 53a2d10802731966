//! The GPU kernels against plain f64 on the host, on whatever adapter this machine has (lavapipe in
//! continuous integration). Every test prints SKIPPED and passes when there is none.

#[path = "gpu/attention.rs"]
mod attention;
#[path = "gpu/device.rs"]
mod device;

use std::ops::Range;

use burn::tensor::{DType, Tensor, TensorData};
use pocketlm::PocketError;
use pocketlm::gguf::{Blob, TensorType};
use pocketlm::kernels::gpu::Engine;
use pocketlm::kernels::{Activation, Blocks, Compute, Head, Linear, Matrix, Mlp, Norm, Vector};
use pocketlm::quant::{FORMATS, Format, format};

/// The machine's GPU, or `None` with a loud note.
fn gpu() -> Option<Engine> {
    match Engine::new() {
        Ok(engine) => Some(engine),
        Err(PocketError::DeviceUnavailable { reason, .. }) => {
            eprintln!("SKIPPED: no GPU adapter: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In -1..1.
    fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }

    /// Random bytes in every field of every block, but for blocks whose weights are useless
    /// (infinite, or so large that nothing else in a row would count).
    fn matrix(&mut self, format: &'static Format, rows: usize, cols: usize) -> Matrix {
        let mut bytes = vec![0; rows * cols / format.block_len * format.block_bytes];
        let mut weights = vec![0.0; format.block_len];
        for block in bytes.chunks_exact_mut(format.block_bytes) {
            loop {
                block.fill_with(|| self.bits() as u8);
                (format.dequantize)(block, &mut weights);
                if weights.iter().all(|w| w.abs() < 64.0) {
                    break;
                }
            }
        }
        Matrix {
            format,
            rows,
            cols,
            blocks: Blocks::Host(Blob::from_vec(bytes)),
        }
    }

    /// Weights of about 1/sqrt(cols), so that a layer's output has the size of its input.
    fn mild(&mut self, ty: TensorType, rows: usize, cols: usize) -> Matrix {
        let format = format(ty).unwrap();
        let scale = 1.0 / (cols as f32).sqrt();
        let weights: Vec<f32> = (0..rows * cols).map(|_| self.float() * scale).collect();
        let mut bytes = vec![0; rows * cols / format.block_len * format.block_bytes];
        format.quantize.expect("a format that can be written")(&weights, &mut bytes);
        Matrix {
            format,
            rows,
            cols,
            blocks: Blocks::Host(Blob::from_vec(bytes)),
        }
    }

    fn norm(&mut self, len: usize) -> Norm {
        let weight: Vec<f32> = (0..len).map(|_| 1.0 + 0.3 * self.float()).collect();
        Norm {
            weight: Vector::new(weight),
            eps: 1e-5,
        }
    }
}

/// The weights of a matrix in host memory, in f64.
fn weights(matrix: &Matrix) -> Vec<f64> {
    let mut out = vec![0.0f32; matrix.rows * matrix.cols];
    (matrix.format.dequantize)(matrix.host(), &mut out);
    out.into_iter().map(f64::from).collect()
}

/// `x · Wᵀ + bias` and, for each output, the sum of the magnitudes of what was added.
fn project(x: &[f64], matrix: &Matrix, bias: Option<&Vector>) -> (Vec<f64>, Vec<f64>) {
    let w = weights(matrix);
    let (mut out, mut size) = (Vec::new(), Vec::new());
    for x in x.chunks_exact(matrix.cols) {
        for (r, w) in w.chunks_exact(matrix.cols).enumerate() {
            let bias = bias.map_or(0.0, |bias| f64::from(bias.host()[r]));
            let products = || w.iter().zip(x).map(|(w, x)| w * x);
            out.push(products().sum::<f64>() + bias);
            size.push(products().map(f64::abs).sum::<f64>() + bias.abs());
        }
    }
    (out, size)
}

fn rms_norm(x: &[f64], norm: &Norm) -> Vec<f64> {
    let weight = norm.weight.host();
    let rows = x.chunks_exact(weight.len()).flat_map(|x| {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let scale = 1.0 / (mean + f64::from(norm.eps)).sqrt();
        x.iter()
            .zip(weight)
            .map(move |(x, w)| x * scale * f64::from(*w))
    });
    rows.collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

fn rows_of(x: &[f32], width: usize, rows: Range<usize>) -> &[f32] {
    &x[rows.start * width..rows.end * width]
}

fn upload(compute: &Compute, x: &[f32], width: usize) -> Tensor<2> {
    let data = TensorData::new(x.to_vec(), [x.len() / width, width]);
    Tensor::from_data(data, (&compute.device(), DType::F32))
}

fn read(compute: &Compute, x: Tensor<2>) -> Vec<f32> {
    compute.read(x).unwrap()
}

/// Every element within `tolerance` of the sum of magnitudes that made it.
#[track_caller]
fn close(what: &str, got: &[f32], want: &[f64], size: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, ((got, want), size)) in got.iter().zip(want).zip(size).enumerate() {
        let error = (f64::from(*got) - want).abs();
        assert!(
            error <= tolerance * size.max(1e-30),
            "{what}: element {i} is {got}, not {want} (sum of magnitudes {size})"
        );
    }
}

#[track_caller]
fn same_bits(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}: length");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.to_bits(), b.to_bits(), "{what}: element {i}, {a} and {b}");
    }
}

/// f32 sums of a few thousand terms in chains of at most some dozens.
const ROUNDING: f64 = 2e-6;

fn place_linear(compute: &Compute, linear: &Linear) -> Linear {
    Linear {
        weight: compute.place_matrix(linear.weight.clone()).unwrap(),
        bias: linear
            .bias
            .clone()
            .map(|bias| compute.place_vector(bias).unwrap()),
    }
}

fn place_norm(compute: &Compute, norm: &Norm) -> Norm {
    Norm {
        weight: compute.place_vector(norm.weight.clone()).unwrap(),
        eps: norm.eps,
    }
}

#[test]
fn every_format_multiplies_like_f64_and_alone_like_in_a_batch() {
    let Some(engine) = gpu() else { return };
    let compute = Compute::Gpu(engine.clone());
    for format in FORMATS {
        let mut random = Random(7);
        // More groups than lanes, rows that leave a workgroup partly empty, and for plain numbers a
        // row that leaves a group partly empty.
        let cols: &[usize] = if format.block_len == 1 {
            &[1280, 100]
        } else {
            &[1280, 256]
        };
        for &cols in cols {
            let rows = 37;
            let linear = Linear {
                weight: random.matrix(format, rows, cols),
                bias: Some(Vector::new(random.floats(rows))),
            };
            let n = 33;
            let (x, residual) = (random.floats(n * cols), random.floats(n * rows));
            let (mut want, mut size) = project(&wide(&x), &linear.weight, linear.bias.as_ref());
            for ((want, size), r) in want.iter_mut().zip(&mut size).zip(&residual) {
                *want += f64::from(*r);
                *size += f64::from(r.abs());
            }
            let placed = place_linear(&compute, &linear);
            let run = |rows_: Range<usize>| {
                let x = upload(&compute, rows_of(&x, cols, rows_.clone()), cols);
                let residual = upload(&compute, rows_of(&residual, rows, rows_), rows);
                read(&compute, compute.matmul_add(x, &placed, None, residual))
            };
            let all = run(0..n);
            let name = format!("{} of {cols}", format.name);
            close(&name, &all, &want, &size, ROUNDING);
            for part in [0..1, 32..33, 0..2, 5..8, 3..11, 17..18] {
                let name = format!("{name}, rows {part:?}");
                same_bits(&name, &run(part.clone()), rows_of(&all, rows, part));
            }
            let parts = Compute::Gpu(engine.clone().with_part_bytes(9 * 1280 * 4 + 64));
            let split = place_linear(&parts, &linear);
            let x = upload(&parts, &x, cols);
            let residual = upload(&parts, &residual, rows);
            let got = read(&parts, parts.matmul_add(x, &split, None, residual));
            same_bits(&format!("{name}, split"), &got, &all);
        }
    }
}

#[test]
fn more_rows_than_one_grid_dimension() {
    let Some(engine) = gpu() else { return };
    let compute = Compute::Gpu(engine);
    let mut random = Random(3);
    let (rows, cols) = (4 * 65_535 + 1_001, 32);
    let matrix = random.matrix(format(TensorType::Q8_0).unwrap(), rows, cols);
    let head = Head {
        norm: random.norm(cols),
        output: Linear {
            weight: matrix.clone(),
            bias: None,
        },
        softcap: None,
    };
    let x = random.floats(3 * cols);
    let (want, size) = project(
        &rms_norm(&wide(&x)[cols..2 * cols], &head.norm),
        &matrix,
        None,
    );
    let placed = Head {
        norm: place_norm(&compute, &head.norm),
        output: place_linear(&compute, &head.output),
        softcap: None,
    };
    let got = read(
        &compute,
        compute.head(upload(&compute, &x, cols), 1, 1, &placed),
    );
    close("head", &got, &want, &size, ROUNDING);
}

#[test]
fn embed_reads_every_format_whole_and_split() {
    let Some(engine) = gpu() else { return };
    for format in FORMATS {
        let mut random = Random(11);
        for cols in if format.block_len == 1 {
            [256, 36]
        } else {
            [256, 512]
        } {
            let table = random.matrix(format, 50, cols);
            let ids = [0u32, 49, 7, 7, 24, 25, 31, 1, 48];
            let all = weights(&table);
            let want: Vec<f64> = ids
                .iter()
                .flat_map(|id| &all[*id as usize * cols..(*id as usize + 1) * cols])
                .map(|w| w * 1.5)
                .collect();
            let row_bytes = 4 * 328.max(cols);
            for part_bytes in [usize::MAX, 7 * row_bytes + 64] {
                let compute = Compute::Gpu(engine.clone().with_part_bytes(part_bytes));
                let placed = compute.place_matrix(table.clone()).unwrap();
                let got = read(&compute, compute.embed(&ids, &placed, 1.5));
                let size: Vec<f64> = want.iter().map(|w| w.abs() + 1e-6).collect();
                close(format.name, &got, &want, &size, 1e-5);
            }
        }
    }
}

#[test]
fn head_takes_the_rows_asked_for_and_caps() {
    let Some(engine) = gpu() else { return };
    let compute = Compute::Gpu(engine);
    let mut random = Random(5);
    let (vocab, cols) = (301, 256);
    let mut head = Head {
        norm: random.norm(cols),
        output: Linear {
            weight: random.mild(TensorType::Q6K, vocab, cols),
            bias: Some(Vector::new(random.floats(vocab))),
        },
        softcap: None,
    };
    let x = random.floats(9 * cols);
    for softcap in [None, Some(0.7)] {
        head.softcap = softcap;
        let placed = Head {
            norm: place_norm(&compute, &head.norm),
            output: place_linear(&compute, &head.output),
            softcap,
        };
        for (first, m) in [(0, 9), (8, 1), (3, 4)] {
            let rows = &wide(&x)[first * cols..(first + m) * cols];
            let normed = rms_norm(rows, &head.norm);
            let (mut want, size) = project(&normed, &head.output.weight, head.output.bias.as_ref());
            if let Some(cap) = softcap.map(f64::from) {
                want.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
            }
            let got = read(
                &compute,
                compute.head(upload(&compute, &x, cols), first, m, &placed),
            );
            close("head", &got, &want, &size, ROUNDING);
        }
    }
}

#[test]
fn gated_layers_and_post_norms() {
    let Some(engine) = gpu() else { return };
    let compute = Compute::Gpu(engine);
    let mut random = Random(9);
    let (dim, hidden, n) = (256, 516, 5);
    for activation in [Activation::Silu, Activation::Gelu] {
        let mlp = Mlp {
            norm: random.norm(dim),
            gate: random.mild(TensorType::Q4K, hidden, dim),
            up: random.mild(TensorType::Q5_0, hidden, dim),
            down: Linear {
                weight: random.mild(TensorType::F16, dim, hidden),
                bias: None,
            },
            activation,
            post_norm: Some(random.norm(dim)),
        };
        // Rows of very different size: the exponentials must hold for large gates too.
        let mut x = random.floats(n * dim);
        x[..dim].iter_mut().for_each(|x| *x *= 1e-3);
        let mut norm = mlp.norm.clone();
        norm.weight = Vector::new(
            norm.weight
                .host()
                .iter()
                .map(|w| w * 40.0)
                .collect::<Vec<_>>(),
        );
        let mlp = Mlp { norm, ..mlp };
        let normed = rms_norm(&wide(&x), &mlp.norm);
        let (gate, gate_size) = project(&normed, &mlp.gate, None);
        let (up, up_size) = project(&normed, &mlp.up, None);
        let act = |g: f64| match activation {
            Activation::Silu => g / (1.0 + (-g).exp()),
            Activation::Gelu => {
                0.5 * g * (1.0 + (0.797_884_560_8 * g * (1.0 + 0.044_715 * g * g)).tanh())
            }
        };
        let want: Vec<f64> = gate.iter().zip(&up).map(|(g, u)| act(*g) * u).collect();
        let size: Vec<f64> = gate_size.iter().zip(&up_size).map(|(g, u)| g * u).collect();
        let placed = Mlp {
            norm: place_norm(&compute, &mlp.norm),
            gate: compute.place_matrix(mlp.gate.clone()).unwrap(),
            up: compute.place_matrix(mlp.up.clone()).unwrap(),
            down: place_linear(&compute, &mlp.down),
            activation,
            post_norm: mlp
                .post_norm
                .as_ref()
                .map(|norm| place_norm(&compute, norm)),
        };
        let h = read(
            &compute,
            compute.gated_mlp(&upload(&compute, &x, dim), &placed),
        );
        close("gated", &h, &want, &size, 1e-5);
        let alone = compute.gated_mlp(&upload(&compute, rows_of(&x, dim, 3..4), dim), &placed);
        same_bits(
            "gated alone",
            &read(&compute, alone),
            rows_of(&h, hidden, 3..4),
        );

        let post_norm = mlp.post_norm.as_ref().unwrap();
        let (down, _) = project(&wide(&h), &mlp.down.weight, None);
        let want: Vec<f64> = rms_norm(&down, post_norm)
            .iter()
            .zip(&x)
            .map(|(y, x)| y + f64::from(*x))
            .collect();
        let down = |rows: Range<usize>| {
            let a = upload(&compute, rows_of(&h, hidden, rows.clone()), hidden);
            let residual = upload(&compute, rows_of(&x, dim, rows), dim);
            let norm = placed.post_norm.as_ref();
            read(
                &compute,
                compute.matmul_add(a, &placed.down, norm, residual),
            )
        };
        let got = down(0..n);
        close("post norm", &got, &want, &vec![4.0; want.len()], 1e-5);
        same_bits("post norm alone", &down(2..3), rows_of(&got, dim, 2..3));
    }
}
