//! Loading that is watched and stopped, and the end of models and sessions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pocketlm::gguf::TensorType;
use pocketlm::{
    Canceller, DeviceChoice, Event, FinishReason, GenerateOptions, LoadControl, LoadOptions,
    LocalModel, ModelSession, PocketError, SessionOptions,
};

use super::{builder, greedy, model, session};

fn options() -> LoadOptions {
    LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(2),
        ..LoadOptions::default()
    }
}

/// A nano model in a file.
fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nano.gguf");
    std::fs::write(&path, builder::model("qwen2", TensorType::Q4K)).expect("written");
    (folder, path)
}

#[test]
fn progress_rises_to_one() {
    let (_folder, path) = file();
    let parts = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&parts);
    let control = LoadControl {
        progress: Some(Arc::new(move |part| {
            theirs.lock().expect("no panic").push(part);
        })),
        cancel: Canceller::default(),
    };
    let model = LocalModel::load_with(&path, &options(), &control).expect("loads");
    assert!(model.is_some());
    let parts = parts.lock().expect("no panic");
    assert!(parts.len() > 10, "{parts:?}");
    assert!(parts.windows(2).all(|pair| pair[0] <= pair[1]), "{parts:?}");
    assert_eq!((parts.first(), parts.last()), (Some(&0.0), Some(&1.0)));
}

#[test]
fn a_load_can_be_cancelled_at_every_step() {
    let (_folder, path) = file();
    let mut step = 0;
    loop {
        let seen = Arc::new(AtomicUsize::new(0));
        let (cancel, theirs) = (Canceller::default(), Arc::clone(&seen));
        let canceller = cancel.clone();
        let control = LoadControl {
            progress: Some(Arc::new(move |_| {
                if theirs.fetch_add(1, Ordering::Relaxed) == step {
                    canceller.cancel();
                }
            })),
            cancel,
        };
        let model = LocalModel::load_with(&path, &options(), &control).expect("no error");
        let steps = seen.load(Ordering::Relaxed);
        if step >= steps {
            assert!(model.is_some(), "never cancelled");
            break;
        }
        assert!(model.is_none(), "cancelled at step {step}");
        assert_eq!(steps, step + 1, "nothing is done after a cancellation");
        step += 1;
    }
    assert!(step > 10);
    // Cancelled or not, a file that is none is an error.
    let error = LocalModel::load_with("no such file", &options(), &LoadControl::default());
    assert!(matches!(error, Err(PocketError::ModelNotFound { .. })));
}

/// Everything that can be asked of a closed model or session.
fn refuses_everything(session: &ModelSession, model_too: bool) {
    let model = session.model();
    let folder = tempfile::tempdir().expect("a folder");
    let generate = GenerateOptions::greedy();
    let mut results = vec![
        ("respond", session.respond("hello", &generate).err()),
        ("stream", session.stream("hello", &generate).err()),
        ("fork", session.fork().err()),
        ("rewind", session.rewind(0).err()),
        ("save", session.save(folder.path().join("x"), None).err()),
        ("complete", session.complete("a", "b", &generate).err()),
    ];
    if model_too {
        let restored = model.restore(folder.path(), None, SessionOptions::default());
        results.extend([
            ("session", model.session(SessionOptions::default()).err()),
            ("restore", restored.err()),
            ("new_cache", model.new_cache().err()),
            ("score", model.score(&[1], &[2], 1).err()),
            ("prewarm", model.prewarm().err()),
        ]);
    }
    for (what, error) in results {
        assert_eq!(error, Some(PocketError::Closed), "{what}");
    }
    session.cancel();
    session.transcript().expect("can still be read");
}

#[test]
fn a_closed_model_refuses_everything_and_keeps_transcripts() {
    let model = model(None);
    let session = session(&model);
    session.respond("and", &greedy(&model, 4)).expect("answers");
    model.prewarm().expect("prewarms");
    for _ in 0..3 {
        model.close();
        assert!(model.is_closed());
        refuses_everything(&session, true);
    }
    assert_eq!(session.transcript().expect("readable").len(), 3);
    assert!(model.info().supported && !model.device().is_empty());
}

#[test]
fn a_closed_session_leaves_the_model_alone() {
    let model = model(None);
    let closed = session(&model);
    closed.close();
    closed.close();
    refuses_everything(&closed, false);
    let other = session(&model);
    other.respond("and", &greedy(&model, 4)).expect("answers");
}

#[test]
fn closing_cancels_and_waits() {
    for _ in 0..20 {
        let model = model(None);
        let sessions: Vec<ModelSession> = (0..3).map(|_| session(&model)).collect();
        let long = greedy(&model, 200);
        let streams: Vec<_> = sessions
            .iter()
            .map(|session| session.stream("and hello", &long).expect("starts"))
            .collect();
        // From three threads at once: each returns when everything has ended.
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    model.close();
                    for session in &sessions {
                        session.transcript().expect("idle once closed");
                    }
                });
            }
        });
        for stream in streams {
            let mut last = None;
            for event in stream {
                last = Some(event);
            }
            match last.expect("an end") {
                Ok(Event::Done { finish, .. }) => assert!(matches!(
                    finish,
                    // The whole turn may have been generated before.
                    FinishReason::Cancelled | FinishReason::MaxTokens
                )),
                // Closed between its start and its first computation.
                Err(error) => assert_eq!(error, PocketError::Closed),
                other => panic!("{other:?}"),
            }
        }
        for session in &sessions {
            refuses_everything(session, true);
        }
    }
}

#[test]
fn a_session_can_be_cancelled_and_closed_from_another_thread() {
    let model = model(None);
    let long = greedy(&model, 200);
    let cancelled = (0..50).any(|_| {
        let session = Arc::new(session(&model));
        let mut stream = session.stream("hello", &long).expect("starts");
        stream.next().expect("an event").expect("no error");
        let theirs = Arc::clone(&session);
        let start = Instant::now();
        thread::spawn(move || theirs.cancel())
            .join()
            .expect("cancels");
        let finish = stream.collect_response().expect("no error").finish;
        assert!(start.elapsed() < Duration::from_secs(5));
        // The session is free at once, and an idle cancel is nothing.
        session.cancel();
        session.respond("a", &greedy(&model, 2)).expect("answers");
        finish == FinishReason::Cancelled
    });
    assert!(cancelled, "no turn was ever cancelled in time");
    let closing = Arc::new(session(&model));
    let stream = closing.stream("hello", &long).expect("starts");
    let theirs = Arc::clone(&closing);
    thread::spawn(move || theirs.close())
        .join()
        .expect("closes");
    assert_eq!(closing.fork().err(), Some(PocketError::Closed));
    stream.collect_response().expect("cancelled, or done");
}

#[test]
fn a_prompt_of_a_real_model_can_be_cancelled_at_once() {
    let Some(path) = crate::golden::real_model(crate::golden::MODELS[0].0) else {
        return;
    };
    let model = LocalModel::load(path, options()).expect("loads");
    model.prewarm().expect("prewarms");
    let session = model.session(SessionOptions::default()).expect("a session");
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(150);
    let mut waits: Vec<Duration> = (0..7)
        .map(|i| {
            let stream = session.stream(&text, &greedy(&model, 4)).expect("starts");
            // Somewhere inside the prompt, which takes seconds.
            thread::sleep(Duration::from_millis(200 + 37 * i));
            let start = Instant::now();
            session.cancel();
            let response = stream.collect_response().expect("no error");
            assert_eq!(response.finish, FinishReason::Cancelled);
            assert_eq!(response.usage.generated_tokens, 0);
            start.elapsed()
        })
        .collect();
    waits.sort();
    eprintln!("cancelled inside a prompt after {waits:.1?}");
    assert!(
        waits[3] <= Duration::from_millis(50),
        "the median is {:?}",
        waits[3]
    );
}

/// A handful of figures of this process that must not grow.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Held {
    private_kib: u64,
    threads: usize,
    files: usize,
}

#[cfg(target_os = "linux")]
fn held() -> Held {
    let count = |folder: &str| std::fs::read_dir(folder).expect("a folder").count();
    Held {
        private_kib: super::memory::private_kib(),
        threads: count("/proc/self/task"),
        files: count("/proc/self/fd"),
    }
}

/// Runs in a process of its own: see below.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "a part of the next test"]
fn thousand_sessions_in_this_process() {
    let model = model(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let options = greedy(&model, 6);
    let mut held_before = None;
    for i in 0..1000 {
        if i == 100 {
            held_before = Some(held());
        }
        let name = format!("hello {}", i % 7);
        let session = model
            .session(SessionOptions::instructions(name))
            .expect("a session");
        session.respond("and the world", &options).expect("answers");
        match i % 5 {
            0 => session
                .save(&path, (i % 2 == 0).then_some(&[1; 32]))
                .expect("saves"),
            1 => drop(session.fork().expect("forks").respond("the", &options)),
            2 => drop(session.stream("dropped", &options).expect("starts")),
            3 => session.close(),
            _ => session.rewind(0).expect("rewinds"),
        }
    }
    let (before, after) = (held_before.expect("taken"), held());
    eprintln!("after 100 sessions {before:?}, after 1000 {after:?}");
    assert_eq!((after.threads, after.files), (before.threads, before.files));
    // Each session's cache alone is 128 KiB: a leak of one in a hundred would show.
    assert!(
        after.private_kib <= before.private_kib + 1024,
        "memory grew"
    );
    model.close();
    drop(model);
    assert!(
        held().threads < after.threads,
        "the pool's threads have ended"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_sessions_leave_nothing_behind() {
    super::memory::alone("session::lifecycle::thousand_sessions_in_this_process", &[]);
}
