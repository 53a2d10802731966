//! The library's own threads: one parallel region at a time, dynamic chunks, no waiting for a
//! thread that the system has not scheduled.
//!
//! A region is open while its tasks last. A worker joins by raising the count of threads inside;
//! the caller takes tasks too, closes the region when none is left, and waits only for those that
//! did join. On a busy machine a worker that never woke up costs nothing. Between regions workers
//! spin for a moment (the next region of a decode step follows within microseconds) and then
//! park: an idle model burns no CPU.
#![allow(unsafe_code)]

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::cores;
use super::parts::Parts;

/// How often a worker looks for a new region before it parks: about 50 µs.
const SPINS: u32 = 4_000;

/// A range is this fraction of an even share of what is left.
const SHARE: usize = 8;

const OPEN: u64 = 1;
const INSIDE: u64 = 1 << 1;
const INSIDE_MASK: u64 = 0x7fff_fffe;
const EPOCH: u64 = 1 << 32;

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// A pool of worker threads beside the caller's.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held for the length of a region: sessions that share a model take turns.
    region: Mutex<()>,
}

struct Shared {
    /// `epoch << 32 | inside << 1 | open`.
    state: AtomicU64,
    next: AtomicUsize,
    tasks: AtomicUsize,
    /// The closure of the open region; valid while `OPEN` is set or a thread is inside.
    job: Mutex<Option<Job>>,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Job(*const Task<'static>);

// SAFETY: the pointee is `Sync` and outlives the region (see `Pool::run`).
unsafe impl Send for Job {}

impl Pool {
    /// A pool in which `threads` threads work, the caller's included.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            job: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let workers = (1..threads.max(1))
            .filter_map(|i| {
                let shared = Arc::clone(&shared);
                // A thread that cannot be had only costs speed.
                std::thread::Builder::new()
                    .name(format!("pocketlm-{i}"))
                    .spawn(move || {
                        cores::stay_on_fast_cores();
                        shared.work();
                    })
                    .ok()
            })
            .collect();
        Self {
            shared,
            workers,
            region: Mutex::new(()),
        }
    }

    /// Threads that work on a region, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(i)` for every `i < tasks`, on all threads, and returns when all are done.
    ///
    /// # Panics
    /// With the payload of the first task that panicked, after all threads left the region.
    pub fn run(&self, tasks: usize, task: &Task<'_>) {
        if tasks <= 1 || self.workers.is_empty() {
            (0..tasks).for_each(task);
            return;
        }
        let _turn = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased. `close` below runs on every path and returns when
        // no thread is inside and none can enter, so nobody uses the pointer after this call.
        let erased = unsafe {
            std::mem::transmute::<*const Task<'_>, *const Task<'static>>(std::ptr::from_ref(task))
        };
        *lock(&shared.job) = Some(Job(erased));
        shared.next.store(0, Ordering::Relaxed);
        shared.tasks.store(tasks, Ordering::Relaxed);
        let epoch = (shared.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) & 0xffff_ffff;
        shared.state.store((epoch * EPOCH) | OPEN, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = lock(&shared.lock);
            shared.wake.notify_all();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| shared.take_tasks(task)));
        shared.close();
        if let Err(payload) = outcome {
            resume_unwind(payload);
        }
        if let Some(payload) = lock(&shared.panic).take() {
            resume_unwind(payload);
        }
    }

    /// Splits `out` into pieces of `piece` elements (the last may be shorter) and calls
    /// `task(index, piece)` for each, on all threads.
    pub fn for_each_piece<T: Send>(
        &self,
        out: &mut [T],
        piece: usize,
        task: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let piece = piece.max(1);
        let len = out.len();
        let parts = Parts::new(out);
        self.run(len.div_ceil(piece), &|i| {
            let from = i * piece;
            // SAFETY: pieces of different indices do not overlap, and every index is handed out
            // once.
            task(i, unsafe { parts.part(from, piece.min(len - from)) });
        });
    }

    /// Calls `task(range, next)` for ranges that together are `0..total`, on all threads; `next` is
    /// where the thread's next range begins (`total` if there is none), so that it can ask memory
    /// for it. Ranges are long at first, since a thread reads memory best in sequence, and short at
    /// last, so that none waits for long; all but the last are multiples of `step`.
    pub fn run_ranges(
        &self,
        total: usize,
        step: usize,
        task: &(dyn Fn(Range<usize>, usize) + Sync),
    ) {
        let taken = AtomicUsize::new(0);
        let share = SHARE * self.threads();
        let end = |start: usize| {
            let len = (total - start) / share;
            (start + len.next_multiple_of(step).max(step)).min(total)
        };
        let take = || {
            let order = Ordering::Relaxed;
            let start =
                taken.fetch_update(order, order, |start| (start < total).then(|| end(start)));
            start.map_or(total..total, |start| start..end(start))
        };
        self.run(self.threads().min(total.div_ceil(step)), &|_| {
            let mut range = take();
            while !range.is_empty() {
                let next = take();
                task(range, next.start);
                range = next;
            }
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        {
            let _guard = lock(&self.shared.lock);
            self.shared.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            // A worker catches the panics of tasks, so joining cannot fail.
            let _ = worker.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn take_tasks(&self, task: &Task<'_>) {
        let tasks = self.tasks.load(Ordering::Relaxed);
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= tasks {
                return;
            }
            task(i);
        }
    }

    /// Lets nobody in any more and waits for those inside.
    fn close(&self) {
        // After a panic of the caller's own task the others need not begin the remaining ones.
        self.next
            .fetch_max(self.tasks.load(Ordering::Relaxed), Ordering::Relaxed);
        self.state.fetch_and(!OPEN, Ordering::SeqCst);
        let mut spins = 0;
        while self.state.load(Ordering::Acquire) & INSIDE_MASK != 0 {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        *lock(&self.job) = None;
    }

    /// A worker's life.
    fn work(&self) {
        let mut seen = 0;
        while let Some(epoch) = self.wait(seen) {
            seen = epoch;
            if !self.enter(epoch) {
                continue;
            }
            let job = *lock(&self.job);
            if let Some(Job(job)) = job {
                // SAFETY: this thread is inside, so `run` has not returned (see there).
                let task = unsafe { &*job };
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.take_tasks(task))) {
                    lock(&self.panic).get_or_insert(payload);
                }
            }
            self.state.fetch_sub(INSIDE, Ordering::Release);
        }
    }

    /// Joins the region of `epoch` if it still is open.
    fn enter(&self, epoch: u64) -> bool {
        let joined = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| {
                (state >> 32 == epoch && state & OPEN != 0).then_some(state + INSIDE)
            });
        joined.is_ok()
    }

    /// Spins, then parks, until a region newer than `seen` is open; `None` at shutdown.
    fn wait(&self, seen: u64) -> Option<u64> {
        let fresh = |order| {
            let state = self.state.load(order);
            (state & OPEN != 0 && state >> 32 != seen).then_some(state >> 32)
        };
        for _ in 0..SPINS {
            if let Some(epoch) = fresh(Ordering::Acquire) {
                return Some(epoch);
            }
            std::hint::spin_loop();
        }
        let mut guard = lock(&self.lock);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let epoch = loop {
            if self.stop.load(Ordering::SeqCst) {
                break None;
            }
            if let Some(epoch) = fresh(Ordering::SeqCst) {
                break Some(epoch);
            }
            guard = self
                .wake
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_in_many_regions() {
        let pool = Pool::new(4);
        for tasks in [0, 1, 2, 3, 17, 1000] {
            for _ in 0..50 {
                let mut out = vec![0u32; tasks];
                pool.for_each_piece(&mut out, 3, |i, piece| {
                    for (j, x) in piece.iter_mut().enumerate() {
                        *x += (i * 3 + j) as u32 + 1;
                    }
                });
                assert!(out.iter().enumerate().all(|(i, x)| *x == i as u32 + 1));
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_still_works() {
        let pool = Pool::new(3);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.run(100, &|i| assert_ne!(i, 57, "task failed"));
        }));
        assert!(caught.is_err());
        let sum = AtomicUsize::new(0);
        pool.run(100, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }
}
