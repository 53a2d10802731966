//! Making the first answer as fast as the later ones.

use std::hint::black_box;

use crate::error::Result;
use crate::kernels::{Blocks, Matrix};
use crate::model::Layer;
use crate::plan;

use super::model::{LocalModel, PREFILL_CHUNK, Runtime};
use super::stream::Canceller;

/// Bytes between two looks at a mapping: no system has smaller pages.
const PAGE: usize = 4096;

/// Pages that are read between two looks at the canceller.
const PAGES: usize = 2048;

impl LocalModel {
    /// Does now what the first answer would wait for: reads the weights into memory (if they fit
    /// there), wakes the threads, and on a GPU compiles the kernels. Optional; blocks until it is
    /// done, or until the model is closed.
    ///
    /// # Errors
    /// [`crate::PocketError::Closed`], [`crate::PocketError::DeviceLost`].
    pub fn prewarm(&self) -> Result<()> {
        let canceller = Canceller::default();
        let work = self.inner.lifecycle.begin(&canceller)?;
        work.on_this_thread();
        let runtime = self.runtime()?;
        touch(&runtime, &canceller);
        drop(runtime);
        // On a GPU one token and a whole piece of prompt take different kernels.
        let pieces: &[usize] = match self.device_name() {
            "gpu" => &[1, PREFILL_CHUNK],
            _ => &[1],
        };
        let mut cache = self.new_cache()?;
        for &tokens in pieces {
            if !canceller.is_cancelled() {
                cache.truncate(0);
                let tokens = tokens.min(self.context());
                self.evaluate(&vec![0; tokens], &mut cache, 1)?;
            }
        }
        Ok(())
    }
}

/// Reads the mapped weights page by page, unless they would push each other out of memory.
fn touch(runtime: &Runtime, canceller: &Canceller) {
    let decoder = &runtime.decoder;
    let mut matrices = vec![&decoder.embedding, &decoder.head.output.weight];
    matrices.extend(decoder.layers.iter().flat_map(Layer::matrices));
    let total: u64 = matrices.iter().copied().map(Matrix::bytes).sum();
    if plan::available().is_some_and(|available| available < total) {
        return;
    }
    for matrix in matrices {
        // On a GPU they are where they belong.
        #[cfg_attr(not(feature = "gpu"), allow(irrefutable_let_patterns))]
        if let Blocks::Host(blob) = &matrix.blocks {
            for pages in blob.chunks(PAGE * PAGES) {
                if canceller.is_cancelled() {
                    return;
                }
                black_box(pages.iter().step_by(PAGE).fold(0u8, |x, byte| x ^ byte));
            }
        }
    }
}
