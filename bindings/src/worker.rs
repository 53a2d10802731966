//! Work on a thread of its own, awaited from any executor.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::error::PocketError;

/// Runs `work` on a new thread named `name`. The future only waits: polling it costs nothing, on
/// whatever thread the foreign side polls it. A panic of `work` becomes [`PocketError::Internal`].
///
/// Dropping the future does not stop the thread; `work` has to be told by other means.
///
/// # Errors
/// What `work` returns, or `Internal` for a panic or when no thread can be started.
pub(crate) async fn run<T, F>(name: &str, work: F) -> Result<T, PocketError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, PocketError> + Send + 'static,
{
    let (sender, receiver) = oneshot::async_channel();
    start(name, work, |result| {
        // Nobody waits any more: then nobody misses the result.
        let _ = sender.send(result);
    })?;
    receiver.await.unwrap_or_else(|_| {
        Err(PocketError::Internal {
            reason: "the worker ended without a result".into(),
        })
    })
}

/// Begins `work` on a new thread named `name`, where `done` gets what it returns; a panic arrives
/// there as [`PocketError::Internal`].
///
/// # Errors
/// `Internal` when no thread can be started; `done` is not called then.
pub(crate) fn start<T: 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, PocketError> + Send + 'static,
    done: impl FnOnce(Result<T, PocketError>) + Send + 'static,
) -> Result<(), PocketError> {
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        // What `work` borrows from a panicked call is behind locks, which note the panic themselves.
        let result = catch_unwind(AssertUnwindSafe(work));
        done(result.unwrap_or_else(|panic| Err(internal(&*panic))));
    });
    match thread {
        Ok(_) => Ok(()),
        Err(error) => Err(PocketError::Internal {
            reason: format!("cannot start a thread: {error}"),
        }),
    }
}

fn internal(panic: &(dyn Any + Send)) -> PocketError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    PocketError::Internal {
        reason: text.unwrap_or("panic").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::{Duration, Instant};

    use super::*;

    /// Polls on this thread until the future is ready; the longest poll must be short.
    fn wait<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let start = Instant::now();
            let poll = future.as_mut().poll(&mut context);
            assert!(
                start.elapsed() < Duration::from_millis(100),
                "polling computed"
            );
            match poll {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    #[test]
    fn work_runs_on_its_own_thread_and_its_result_arrives() {
        let caller = thread::current().id();
        let worker = wait(run("test", || {
            thread::sleep(Duration::from_millis(200));
            Ok(thread::current().id())
        }));
        assert_ne!(worker.unwrap(), caller);
    }

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        let result: Result<(), _> = wait(run("test", || panic!("boom {}", 1)));
        let expected = PocketError::Internal {
            reason: "boom 1".into(),
        };
        assert_eq!(result, Err(expected));
    }
}
