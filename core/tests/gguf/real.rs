//! The real models, where they are present.

use std::fs;
use std::path::PathBuf;

use pocketlm::gguf::Gguf;

use super::damage;

/// The models of `models/fetch.sh`, where they are.
fn real_models() -> Vec<PathBuf> {
    let folder = std::env::var_os("POCKETLM_MODELS").map_or_else(
        || {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default())
                .join(".cache/pocketlm/models")
        },
        PathBuf::from,
    );
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let files = entries.map(|e| e.path());
    let mut models: Vec<_> = files
        .filter(|p| p.extension().is_some_and(|e| e == "gguf"))
        .collect();
    models.sort();
    if models.is_empty() {
        eprintln!(
            "SKIPPED: no model in {} (run models/fetch.sh)",
            folder.display()
        );
    }
    models
}

#[test]
fn real_models_are_read_within_the_memory_bound() {
    for path in real_models() {
        let name = path.display().to_string();
        let (model, peak) = damage::peak_of(|| Gguf::open(&path));
        let model = model.unwrap_or_else(|e| panic!("{name}: {e}"));
        // Half a thousand tensors and some dozens of keys: far from the bound for hostile files.
        assert!(peak < 1 << 20, "{name}: {peak} bytes");
        damage::walk(&model);
        let m = model.metadata();
        let architecture = m
            .require_str("general.architecture")
            .expect("every model has it");
        let blocks = m
            .require_usize(&format!("{architecture}.block_count"))
            .expect("every model has it");
        assert!(model.tensors().len() > 8 * blocks, "{name}");
        let tokens = m
            .require_strings("tokenizer.ggml.tokens")
            .expect("every model has it");
        let embedding = model
            .tensor("token_embd.weight")
            .expect("every model has it");
        assert_eq!(embedding.rows(), tokens.iter().count(), "{name}");
        let data: u64 = model.tensors().iter().map(|t| t.byte_len).sum();
        assert!(
            data < model.file_len() && data > model.file_len() / 10 * 9,
            "{name}"
        );
    }
}
