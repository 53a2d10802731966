//! The device itself: several threads, losing it, and what does not fit.

use pocketlm::PocketError;
use pocketlm::gguf::TensorType;
use pocketlm::kernels::gpu::Engine;
use pocketlm::kernels::{Compute, Linear};
use pocketlm::quant::format;

use super::{Random, gpu, place_linear, read, same_bits, upload};

#[test]
fn threads_share_a_device() {
    let Some(engine) = gpu() else { return };
    let compute = Compute::Gpu(engine);
    let mut random = Random(31);
    let cols = 256;
    let linear = Linear {
        weight: random.mild(TensorType::Q4K, cols, cols),
        bias: None,
    };
    let placed = place_linear(&compute, &linear);
    let x = random.floats(5 * cols);
    let repeat = || {
        let zeros = vec![0.0; x.len()];
        let mut y = upload(&compute, &x, cols);
        for _ in 0..20 {
            y = compute.matmul_add(y, &placed, None, upload(&compute, &zeros, cols));
        }
        y
    };
    let want = read(&compute, repeat());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(repeat)).collect();
        for thread in threads {
            // Computed there, read here.
            same_bits("thread", &read(&compute, thread.join().unwrap()), &want);
        }
    });
}

#[test]
fn a_lost_device_is_an_error_and_leaves_others_alone() {
    let Some(engine) = gpu() else { return };
    let own = Engine::separate().unwrap();
    let compute = Compute::Gpu(own.clone());
    let mut random = Random(2);
    let linear = Linear {
        weight: random.mild(TensorType::Q8_0, 64, 64),
        bias: None,
    };
    let placed = place_linear(&compute, &linear);
    let x = random.floats(64);
    let run = |compute: &Compute, linear: &Linear| {
        let (a, b) = (upload(compute, &x, 64), upload(compute, &x, 64));
        own.read(compute.matmul_add(a, linear, None, b))
    };
    let want = run(&compute, &placed).unwrap();
    own.lose();
    let after = run(&compute, &placed);
    assert!(
        matches!(after, Err(PocketError::DeviceLost { .. })),
        "{after:?}"
    );
    let after = compute.place_matrix(linear.weight.clone()).err();
    assert!(after.is_some(), "placed on a lost device");
    let after = compute.kv_layer(1, 64, 64).err();
    assert!(after.is_some(), "a cache on a lost device");

    let compute = Compute::Gpu(engine.clone());
    let placed = place_linear(&compute, &linear);
    let (a, b) = (upload(&compute, &x, 64), upload(&compute, &x, 64));
    let got = engine
        .read(compute.matmul_add(a, &placed, None, b))
        .unwrap();
    same_bits("the other device", &got, &want);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let Some(engine) = gpu() else { return };
    let compute = Compute::Gpu(engine.clone());
    let needed = compute.kv_layer(1024, 1024, 1 << 20);
    assert!(
        matches!(needed, Err(PocketError::InsufficientMemory { .. })),
        "cache"
    );
    let mut random = Random(1);
    let matrix = random.matrix(format(TensorType::F32).unwrap(), 4, 64);
    let tight = Compute::Gpu(engine.with_part_bytes(128));
    let placed = tight.place_matrix(matrix);
    assert!(
        matches!(placed, Err(PocketError::InsufficientMemory { .. })),
        "row"
    );
    let odd = random.matrix(format(TensorType::F32).unwrap(), 4, 7);
    let placed = compute.place_matrix(odd);
    assert!(
        matches!(placed, Err(PocketError::UnsupportedModel { .. })),
        "columns"
    );
}
