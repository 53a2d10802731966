//! A load in progress, as the app sees it from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Watches and stops one load: made by the app, handed to `LocalModel.load`.
#[derive(Default, uniffi::Object)]
pub struct LoadTask {
    /// The bits of a float: how much is done, from 0 to 1.
    progress: AtomicU64,
    canceller: pocketlm::Canceller,
}

#[uniffi::export]
impl LoadTask {
    /// A handle for a load that has not begun.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How much of the load is done, from 0 to 1.
    pub fn progress(&self) -> f64 {
        f64::from_bits(self.progress.load(Ordering::Relaxed))
    }

    /// Asks the load to stop: it ends with `Cancelled`, unless it has ended already.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }
}

impl LoadTask {
    /// What the load reports to and asks.
    pub(crate) fn control(self: &Arc<Self>) -> pocketlm::LoadControl {
        let task = self.clone();
        let progress = move |part: f64| task.progress.store(part.to_bits(), Ordering::Relaxed);
        pocketlm::LoadControl {
            progress: Some(Arc::new(progress)),
            cancel: self.canceller.clone(),
        }
    }
}

/// Cancels the load when the future that waits for it is dropped.
pub(crate) struct CancelOnDrop(pub(crate) Arc<LoadTask>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
