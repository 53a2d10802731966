//! The crate's integration tests, in one binary.

mod calls;
mod chat;
mod constrain;
mod divergence;
mod gguf;
mod golden;
#[cfg(feature = "gpu")]
mod gpu;
mod kernels;
mod layers;
mod nano;
mod quant;
mod reasoning;
mod sample;
mod session;
mod speculation;
mod tokenizer;
mod tools;
