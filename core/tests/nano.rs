//! Nano models of every architecture and every block format: against an independent
//! implementation, against themselves in other batches, and damaged.

mod agreement;
mod batches;
pub mod builder;
mod limits;
mod refused;

use builder::{CONTEXT, RECIPES, Recipe, Weights, ids, recipe};
use pocketlm::cache::KvCache;
use pocketlm::gguf::{Gguf, TensorType};
use pocketlm::kernels::{Compute, cpu};
use pocketlm::model::{self, Decoder};
use pocketlm::quant::FORMATS;

/// Tokens of the test sequence: more than any window, and more than a page of the cache.
const TOKENS: usize = 80;

/// A model under test.
struct Subject {
    /// Also the stem of its golden file.
    name: String,
    recipe: &'static Recipe,
    weights: Weights,
}

impl Subject {
    fn new(recipe: &'static Recipe, weights: Weights) -> Self {
        let suffix = match weights {
            Weights::All(TensorType::F32) => String::new(),
            Weights::All(ty) => format!(".{}", ty.name()),
            Weights::Mixed => ".mixed".into(),
        };
        Self {
            name: format!("{}{suffix}", recipe.name),
            recipe,
            weights,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.recipe.build(self.weights).to_bytes()
    }

    fn load(&self, compute: &Compute) -> Decoder {
        load(self.bytes(), compute).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

/// Every recipe in F32.
fn every_recipe() -> Vec<Subject> {
    let f32 = Weights::All(TensorType::F32);
    RECIPES.iter().map(|r| Subject::new(r, f32)).collect()
}

/// A Llama in every format but F32, and one in all formats at once.
fn every_format() -> Vec<Subject> {
    let llama = recipe("llama");
    let rows = FORMATS.iter().filter(|f| f.ty != TensorType::F32);
    let mut out: Vec<Subject> = rows
        .map(|f| Subject::new(llama, Weights::All(f.ty)))
        .collect();
    out.push(Subject::new(llama, Weights::Mixed));
    out
}

fn load(bytes: Vec<u8>, compute: &Compute) -> pocketlm::Result<Decoder> {
    model::load(&Gguf::from_bytes(bytes)?, compute, None)
}

fn reference() -> Compute {
    Compute::Reference(cpu::Engine::new(2))
}

fn cpu() -> Compute {
    Compute::Cpu(cpu::Engine::new(2))
}

fn empty_cache(decoder: &Decoder, compute: &Compute) -> KvCache {
    decoder.new_cache(compute).expect("a cache")
}

/// Runs `ids` and returns the logits of all of them, row by row.
fn run(decoder: &Decoder, compute: &Compute, ids: &[u32], cache: &mut KvCache) -> Vec<f32> {
    let logits = decoder
        .forward(compute, ids, cache, ids.len())
        .expect("runs");
    compute.read(logits.expect("logits")).expect("reads")
}

#[test]
fn every_architecture_has_a_recipe() {
    for architecture in model::ARCHITECTURES {
        let name = architecture.names[0];
        let recipe = builder::plain(name)
            .unwrap_or_else(|| panic!("architecture {name} has no row in nano/builder/recipe.rs"));
        assert_eq!(recipe.name, name, "the first row is the plain one");
    }
}

#[test]
fn other_names_of_an_architecture_read_the_same_model() {
    let compute = reference();
    let ids = ids(12);
    for architecture in model::ARCHITECTURES {
        let recipe = builder::plain(architecture.names[0]).expect("a recipe");
        let logits = |name: &&str| {
            let nano = recipe.build_as(name, Weights::All(TensorType::Q8_0));
            let decoder = load(nano.to_bytes(), &compute).expect(name);
            let shape = (decoder.context, decoder.dim(), decoder.vocab());
            assert_eq!(shape, (CONTEXT as usize, builder::DIM, builder::VOCAB));
            run(
                &decoder,
                &compute,
                &ids,
                &mut empty_cache(&decoder, &compute),
            )
        };
        let all: Vec<Vec<f32>> = architecture.names.iter().map(logits).collect();
        for (name, other) in architecture.names.iter().zip(&all) {
            assert_eq!(other, &all[0], "{name}");
        }
    }
}
