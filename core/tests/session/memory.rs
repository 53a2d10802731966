//! Plans against what is really taken.

use pocketlm::gguf::{Gguf, TensorType};
use pocketlm::kernels::KvType;
use pocketlm::plan::{Fit, Setting};
use pocketlm::{DeviceChoice, LoadOptions, LocalModel, Plan, PocketError};

use super::builder;

/// Runs an ignored test of this binary in a process of its own.
#[cfg(target_os = "linux")]
pub fn alone(test: &str, environment: &[(&str, &str)]) {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this binary"));
    command.args([
        test,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.envs(environment.iter().copied());
    let output = command.output().expect("starts");
    let text = String::from_utf8_lossy(&output.stderr);
    eprint!("{text}");
    assert!(output.status.success(), "{test}: {}", output.status);
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(ran, "there is no test {test}");
}

/// Anonymous memory of this process that is in RAM.
#[cfg(target_os = "linux")]
pub fn private_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let value = line.and_then(|line| line.split_whitespace().next());
    value.expect("a value").parse().expect("a number")
}

fn nano(setting: Setting) -> Plan {
    let bytes = builder::model("qwen2", TensorType::Q4K);
    Plan::from_gguf(&Gguf::from_bytes(bytes).expect("a GGUF"), setting).expect("a plan")
}

const SETTING: Setting = Setting {
    gpu: false,
    kv: KvType::F16,
    context: 256,
    chunk: 128,
    threads: 2,
};

#[test]
fn sizes_follow_from_shapes() {
    let plan = nano(SETTING);
    // Two layers, two heads of 64, keys and values, two bytes each.
    assert_eq!(plan.kv, 2 * 2 * 64 * 2 * 2 * 256);
    let q8 = nano(Setting {
        kv: KvType::Q8_0,
        ..SETTING
    });
    assert_eq!(q8.kv, plan.kv * 34 / 64);
    // Whole pages of 64 positions.
    let odd = nano(Setting {
        context: 65,
        ..SETTING
    });
    assert_eq!(odd.kv, plan.kv / 2);

    let bytes = builder::model("qwen2", TensorType::Q4K);
    let gguf = Gguf::from_bytes(bytes).expect("a GGUF");
    let (vectors, matrices): (Vec<_>, Vec<_>) =
        gguf.tensors().iter().partition(|t| t.shape.len() == 1);
    let sum = |tensors: &[&pocketlm::gguf::TensorInfo]| -> u64 {
        tensors.iter().map(|t| t.byte_len).sum()
    };
    assert_eq!(plan.weights_mapped, sum(&matrices));
    assert_eq!(plan.weights_private, sum(&vectors));
    assert_eq!(
        plan.fit,
        if plan.available.is_some() {
            Fit::InMemory
        } else {
            Fit::Unknown
        }
    );
    assert_eq!(plan.suggestion, None);
}

#[test]
fn every_architecture_has_a_plan_and_loads_within_it() {
    for architecture in pocketlm::model::ARCHITECTURES {
        let bytes = builder::model(architecture.names[0], TensorType::Q8_0);
        let gguf = Gguf::from_bytes(bytes).expect("a GGUF");
        let plan = Plan::from_gguf(&gguf, SETTING).expect("a plan");
        let options = LoadOptions {
            device: DeviceChoice::Cpu,
            threads: Some(2),
            ..LoadOptions::default()
        };
        let model = LocalModel::from_gguf(&gguf, &options).expect("loads");
        let mut cache = model.new_cache().expect("a cache");
        model
            .evaluate(&builder::ids(256), &mut cache, 1)
            .expect("runs");
        assert_eq!(cache.bytes() as u64, plan.kv, "{}", architecture.names[0]);
    }
}

#[test]
fn what_cannot_be_read_cannot_be_planned() {
    let options = LoadOptions::default();
    let missing = LocalModel::plan("no such file", &options);
    assert!(matches!(missing, Err(PocketError::ModelNotFound { .. })));
    let mut nano = builder::recipe("qwen2").build(builder::Weights::All(TensorType::Q4K));
    nano.drop_tensor("blk.1.attn_q.weight");
    let gguf = Gguf::from_bytes(nano.to_bytes()).expect("a GGUF");
    let broken = Plan::from_gguf(&gguf, SETTING);
    assert!(matches!(broken, Err(PocketError::CorruptModel { .. })));
}

#[test]
fn a_context_that_cannot_fit_is_refused_and_another_suggested() {
    // A window of 2²⁶ positions, which the format allows: tens of gigabytes of keys and values.
    let mut nano = builder::recipe("qwen2").build(builder::Weights::All(TensorType::Q4K));
    nano.set("qwen2.context_length", 1u32 << 26);
    let gguf = Gguf::from_bytes(nano.to_bytes()).expect("a GGUF");
    let setting = Setting {
        context: 1 << 26,
        ..SETTING
    };
    let plan = Plan::from_gguf(&gguf, setting).expect("a plan");
    let Some(available) = plan.available else {
        eprintln!("SKIPPED: this system does not tell how much memory there is");
        return;
    };
    assert_eq!(plan.fit, Fit::No);
    let better = plan.suggestion.expect("a smaller one");
    assert!(better.context < 1 << 26 && better.fit == Fit::InMemory);
    let smaller = Setting {
        context: better.context,
        kv: better.kv,
        ..setting
    };
    assert_eq!(
        Plan::from_gguf(&gguf, smaller).expect("a plan").fit,
        Fit::InMemory
    );
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        context: Some(1 << 26),
        ..LoadOptions::default()
    };
    match LocalModel::from_gguf(&gguf, &options) {
        Err(PocketError::InsufficientMemory {
            needed,
            available: told,
        }) => {
            assert_eq!(needed, plan.private());
            assert!(needed > told && told.abs_diff(available) < available / 2);
        }
        other => panic!("{other:?}"),
    }
}

/// Runs in a process of its own: loads a real model, fills its window and measures.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "a part of the next test"]
fn real_model_in_this_process() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let path = std::env::var_os("POCKETLM_PLAN_MODEL").expect("a model");
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(2),
        context: Some(1024),
        ..LoadOptions::default()
    };
    let start = std::time::Instant::now();
    let plan = LocalModel::plan(&path, &options).expect("a plan");
    let took = start.elapsed();
    let before = private_kib();
    let peak = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&peak);
    std::thread::spawn(move || {
        loop {
            theirs.fetch_max(private_kib(), Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    let model = LocalModel::load(&path, options).expect("loads");
    let session = model
        .session(pocketlm::SessionOptions::default())
        .expect("a session");
    // Most of the window in one prompt, then some tokens drawn with every stage at work.
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(92);
    let mut generate = pocketlm::GenerateOptions::default().with_max_tokens(24);
    generate.sample.temperature = 1.0;
    generate.sample.top_k = 0;
    generate.sample.top_p = 0.95;
    let answer = session.respond(&text, &generate).expect("answers");
    // The largest passes there are: with as many guesses as are ever made, twice, because a turn
    // holds on to the logits of the pass before.
    let mut cache = model.new_cache().expect("a cache");
    let guesses = [5; 1 + pocketlm::speculate::MOST];
    let passes = [0, 1].map(|_| model.evaluate(&guesses, &mut cache, guesses.len()));
    assert!(passes.iter().all(|logits| logits.is_ok()));
    std::thread::sleep(std::time::Duration::from_millis(20));
    drop(passes);
    let measured = 1024 * (peak.load(Ordering::Relaxed) - before);
    // What the shared instructions would take is not there: there are none.
    let kv = plan.kv / 1024 * (answer.usage.prompt_tokens + answer.usage.generated_tokens) as u64;
    let planned = plan.private() - plan.shared_prefixes - plan.kv + kv;
    eprintln!(
        "{}: planned {:.1} MiB in {took:.1?}, measured {:.1} MiB ({} prompt tokens; scratch {:.1}, tokenizer {:.1}, kv {:.1})",
        std::path::Path::new(&path).display(),
        planned as f64 / 1048576.0,
        measured as f64 / 1048576.0,
        answer.usage.prompt_tokens,
        plan.scratch as f64 / 1048576.0,
        plan.tokenizer as f64 / 1048576.0,
        kv as f64 / 1048576.0,
    );
    assert!(answer.usage.prompt_tokens > 800);
    // The bound that docs/sessions.md states.
    assert!(measured <= planned, "the plan promised too little");
    assert!(
        planned <= measured * 3 / 2,
        "the plan asks for far too much"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn real_models_take_what_their_plan_says() {
    for (stem, _) in crate::golden::MODELS {
        if stem.contains("1.5b") && !crate::golden::full() {
            eprintln!("SKIPPED: {stem} (POCKETLM_FULL=1 runs it)");
            continue;
        }
        let Some(path) = crate::golden::real_model(stem) else {
            continue;
        };
        let path = path.to_str().expect("a path");
        let test = "session::memory::real_model_in_this_process";
        alone(test, &[("POCKETLM_PLAN_MODEL", path)]);
    }
}
