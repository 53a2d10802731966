//! The objects as a foreign language drives them: futures polled by hand on this thread.

#[path = "../../core/tests/nano/builder/mod.rs"]
mod nano;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pocketlm::gguf::TensorType;
use pocketlm_ffi::{
    Event, FinishReason, GenerateOptions, LoadOptions, LoadTask, LocalModel, LogLevel, LogSink,
    ModelSession, OutputFormat, PocketError, ResponseStream, Role, SampleOptions, SessionFault,
    SessionOptions, ToolSpec, Usage, set_log_sink,
};

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future as an executor does: polls it, sleeps until woken, polls again. A poll that
/// takes long computed.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

const CPU: LoadOptions = LoadOptions {
    device: Some(pocketlm_ffi::DeviceChoice::Cpu),
    threads: Some(1),
    context: None,
    kv: None,
};

/// A nano model, which says nothing sensible.
fn model() -> Arc<LocalModel> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nano.gguf");
    std::fs::write(&path, nano::model("qwen2", TensorType::Q4K)).expect("the model is written");
    wait(LocalModel::load(path.display().to_string(), CPU, None)).expect("the model loads")
}

fn session(model: &LocalModel) -> Arc<ModelSession> {
    let instructions = Some("be kind".into());
    model.session(options(instructions)).expect("a session")
}

fn options(instructions: Option<String>) -> SessionOptions {
    SessionOptions {
        instructions,
        tools: Vec::new(),
        max_tool_rounds: None,
        overflow: None,
    }
}

/// The likeliest tokens, `max_tokens` at most.
fn greedy(max_tokens: Option<u32>) -> GenerateOptions {
    GenerateOptions {
        sample: SampleOptions {
            temperature: Some(0.0),
            ..SampleOptions::default()
        },
        max_tokens,
        stop: Vec::new(),
        speculation: None,
        format: None,
        reasoning_budget: None,
    }
}

/// The rest of an answer.
fn collect(stream: &ResponseStream) -> Result<(String, FinishReason, Usage), PocketError> {
    let (mut text, mut end) = (String::new(), None);
    loop {
        let events = wait(stream.next_batch())?;
        if events.is_empty() {
            let (finish, usage) = end.expect("a last event");
            return Ok((text, finish, usage));
        }
        for event in events {
            assert_eq!(end, None, "{event:?} after the last event");
            match event {
                Event::Text { delta } => text.push_str(&delta),
                Event::Done { finish, usage } => end = Some((finish, usage)),
                _ => {}
            }
        }
    }
}

#[test]
fn an_answer_comes_in_batches_and_is_remembered() {
    let model = model();
    let session = session(&model);
    let stream = session
        .stream("hi".into(), greedy(Some(6)))
        .expect("a stream");
    let (text, finish, usage) = collect(&stream).expect("an answer");
    assert!(matches!(
        finish,
        FinishReason::MaxTokens | FinishReason::EndOfTurn
    ));
    assert!(usage.generated_tokens > 0);
    assert_eq!(wait(stream.next_batch()), Ok(Vec::new()), "after the end");

    let said = session.transcript().expect("a transcript");
    let roles: Vec<&Role> = said.iter().map(|message| &message.role).collect();
    assert_eq!(roles, [&Role::System, &Role::User, &Role::Assistant]);
    assert_eq!(said[2].content, text);

    // The session is free as soon as the last event is here.
    let next = session
        .stream("and".into(), greedy(Some(2)))
        .expect("a stream");
    let (_, _, usage) = collect(&next).expect("an answer");
    assert!(usage.cached_tokens > 0);
}

#[test]
fn errors_have_their_fields_and_text() {
    let error = wait(LocalModel::load("no such file".into(), CPU, None));
    let error = error.err().expect("an error");
    let PocketError::ModelNotFound { path, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(path, "no such file");
    assert!(error.to_string().contains("model not found"));

    let session = session(&model());
    let refused = session.stream("hi".into(), greedy(Some(0))).err();
    assert!(
        matches!(&refused, Some(PocketError::InvalidArgument { name, .. }) if name == "max_tokens"),
        "{refused:?}"
    );
    let long = session.stream("word ".repeat(5000), greedy(None));
    let error = collect(&long.expect("a stream")).expect_err("an error");
    assert!(
        matches!(error, PocketError::ContextExceeded { size, tokens } if tokens > size),
        "{error:?}"
    );
}

/// Loads a model that follows a script, and gives it a tool that echoes.
fn with_tool() -> Arc<ModelSession> {
    const CALL: &str = r#"<tool_call>{"name": "echo", "arguments": {"text": "hi"}}</tool_call>"#;
    const UNKNOWN: &str = r#"<tool_call>{"name": "sing", "arguments": {}}</tool_call>"#;
    let lines: &[&[&str]] = &[
        &["go", "See. ", CALL],
        &["unknown", UNKNOWN],
        &["RESULT", "It is so."],
        &["}", "Sorry."],
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("script.gguf");
    let bytes = nano::script::script(nano::script::TEMPLATE, &[], lines).to_bytes();
    std::fs::write(&path, bytes).expect("the model is written");
    let model = wait(LocalModel::load(path.display().to_string(), CPU, None));
    let schema = r#"{"type": "object", "properties": {"text": {"type": "string"}}}"#;
    let echo = ToolSpec {
        name: "echo".into(),
        description: "Echoes.".into(),
        parameters_json: schema.into(),
    };
    let options = SessionOptions {
        tools: vec![echo],
        ..options(None)
    };
    model
        .expect("the model loads")
        .session(options)
        .expect("a session")
}

/// The events of an answer, with every tool answered by `answer`.
fn events_with_tool(session: &ModelSession, prompt: &str, answer: (&str, bool)) -> Vec<Event> {
    let stream = session
        .stream(prompt.into(), greedy(None))
        .expect("a stream");
    let mut all = Vec::new();
    loop {
        let events = wait(stream.next_batch()).expect("events");
        if events.is_empty() {
            return all;
        }
        for event in &events {
            if let Event::ToolNeeded { call } = event {
                stream.answer_tool("nobody".into(), "lost".into(), false);
                stream.answer_tool(call.id.clone(), answer.0.into(), answer.1);
            }
        }
        all.extend(events);
    }
}

fn text(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text { delta } => Some(delta.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_tool_is_asked_for_after_its_call_and_answered_by_pull() {
    let session = with_tool();
    let events = events_with_tool(&session, "go", ("RESULT", false));
    assert_eq!(text(&events), "See.\n\nIt is so.");
    let at = |wanted: fn(&Event) -> bool| events.iter().position(wanted).expect("the event");
    let called = at(|event| matches!(event, Event::ToolCall { .. }));
    let needed = at(|event| matches!(event, Event::ToolNeeded { .. }));
    let returned = at(|event| matches!(event, Event::ToolResult { .. }));
    assert!(called < needed && needed < returned, "{events:?}");
    let Event::ToolNeeded { call } = &events[needed] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (call.name.as_str(), call.arguments_json.as_str()),
        ("echo", r#"{"text":"hi"}"#)
    );
    assert!(matches!(&events[returned], Event::ToolResult { content, .. } if content == "RESULT"));

    let failed = events_with_tool(&session, "go", ("no paper", true));
    assert_eq!(text(&failed), "See.\n\nSorry.");
    let told = r#"{"error":"no paper"}"#;
    let returned =
        |event: &&Event| matches!(event, Event::ToolResult { content, .. } if content == told);
    assert!(failed.iter().any(|event| returned(&event)), "{failed:?}");
}

#[test]
fn a_call_that_cannot_be_made_asks_for_nothing() {
    let events = events_with_tool(&with_tool(), "unknown", ("RESULT", false));
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::ToolCall { .. }))
    );
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::ToolNeeded { .. }))
    );
    assert_eq!(text(&events), "Sorry.");
}

#[test]
fn a_fork_has_the_tools_and_a_waiting_tool_can_be_cancelled() {
    let session = with_tool();
    let stream = session.stream("go".into(), greedy(None)).expect("a stream");
    loop {
        let events = wait(stream.next_batch()).expect("events");
        if events
            .iter()
            .any(|event| matches!(event, Event::ToolNeeded { .. }))
        {
            break;
        }
    }
    stream.cancel();
    wait(stream.join());
    assert_eq!(session.transcript().expect("a transcript"), []);

    let fork = wait(session.fork()).expect("a fork");
    assert_eq!(
        text(&events_with_tool(&fork, "go", ("RESULT", false))),
        "See.\n\nIt is so."
    );
    assert_eq!(
        text(&events_with_tool(&session, "go", ("RESULT", false))),
        "See.\n\nIt is so."
    );
    fork.rewind(0).expect("nothing said");
    assert_eq!(fork.transcript().expect("a transcript"), []);
}

#[test]
fn what_a_file_or_a_format_cannot_be_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("said").display().to_string();
    let model = model();
    let session = session(&model);
    collect(
        &session
            .stream("hi".into(), greedy(Some(3)))
            .expect("a stream"),
    )
    .expect("an answer");
    let short = wait(session.save(path.clone(), Some(vec![1; 31]))).err();
    assert!(matches!(&short, Some(PocketError::InvalidArgument { name, .. }) if name == "key"));
    wait(session.save(path.clone(), Some(vec![1; 32]))).expect("saved");
    let wrong = wait(model.restore(path.clone(), Some(vec![2; 32]), options(None))).err();
    assert!(
        matches!(
            &wrong,
            Some(PocketError::SessionFile {
                fault: SessionFault::WrongKey,
                ..
            })
        ),
        "{wrong:?}"
    );
    let again = wait(model.restore(path, Some(vec![1; 32]), options(None))).expect("restored");
    assert_eq!(again.transcript(), session.transcript());

    let schema_json = "{".into();
    let broken = GenerateOptions {
        format: Some(OutputFormat::JsonSchema { schema_json }),
        ..greedy(None)
    };
    let refused = session.stream("hi".into(), broken).err();
    assert!(
        matches!(&refused, Some(PocketError::InvalidArgument { name, .. }) if name == "format")
    );
}

/// A session with an answer in progress. The model is so small that an answer may end by itself
/// before it can be disturbed: then `disturb` says `None` and is tried again with another one.
fn with_answer<T>(disturb: impl Fn(&LocalModel, &ModelSession, &ResponseStream) -> Option<T>) -> T {
    let model = model();
    let outcome = (0..100).find_map(|_| {
        let session = session(&model);
        let stream = session.stream("hi".into(), greedy(None)).expect("a stream");
        disturb(&model, &session, &stream)
    });
    outcome.expect("no answer lasted long enough")
}

#[test]
fn one_answer_at_a_time_and_the_session_can_stop_it() {
    with_answer(|_, session, stream| {
        let second = session.stream("ho".into(), greedy(None)).err();
        session.cancel();
        let (_, finish, _) = collect(stream).expect("an answer");
        let stopped = second == Some(PocketError::Busy) && finish == FinishReason::Cancelled;
        // Its turn is forgotten.
        stopped.then(|| assert_eq!(session.transcript().expect("a transcript").len(), 1))
    });
}

#[test]
fn cancelling_a_stream_wakes_who_waits_and_frees_the_session() {
    with_answer(|_, session, stream| {
        let (batches, waited) = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut batches = 0;
                while wait(stream.next_batch()).is_ok_and(|events| !events.is_empty()) {
                    batches += 1;
                }
                batches
            });
            stream.cancel();
            let start = Instant::now();
            wait(stream.join());
            (reader.join().expect("the reader ends"), start.elapsed())
        });
        assert!(waited < Duration::from_secs(10), "after {batches} batches");
        let next = session.stream("ho".into(), greedy(Some(1)));
        collect(&next.expect("a free session")).expect("an answer");
        Some(())
    });
}

#[test]
fn a_dropped_stream_leaves_the_session_as_it_was() {
    let model = model();
    let session = session(&model);
    drop(session.stream("hi".into(), greedy(None)).expect("a stream"));
    let start = Instant::now();
    let said = loop {
        match session.transcript() {
            Err(PocketError::Busy) => thread::yield_now(),
            said => break said.expect("a transcript"),
        }
        assert!(start.elapsed() < Duration::from_secs(10), "still busy");
    };
    // An answer that ended before it was dropped counts as said.
    assert!(said.len() == 1 || said.len() == 3, "{said:?}");
}

#[test]
fn a_closed_session_or_model_says_so() {
    let model = model();
    let closed = session(&model);
    closed.shut_down();
    let refused = closed.stream("hi".into(), greedy(None)).err();
    assert_eq!(refused, Some(PocketError::Closed));
    assert_eq!(closed.transcript(), Err(PocketError::Closed));
    assert_eq!(
        wait(closed.token_count("a".into())),
        Err(PocketError::Closed)
    );

    let open = session(&model);
    assert!(wait(open.token_count("two words".into())).is_ok_and(|count| count > 0));
    model.shut_down();
    assert!(model.is_shut_down());
    let refused = open.stream("hi".into(), greedy(None)).err();
    assert_eq!(refused, Some(PocketError::Closed));
    let refused = model.session(options(None));
    assert_eq!(refused.err(), Some(PocketError::Closed));
}

#[test]
fn closing_a_model_stops_answers_and_waits_for_them() {
    let model = model();
    let sessions: Vec<_> = (0..4).map(|_| session(&model)).collect();
    let begin = |session: &Arc<ModelSession>| session.stream("hi".into(), greedy(None));
    let streams: Vec<_> = sessions.iter().map(begin).collect();
    model.shut_down();
    wait(model.join());
    for stream in streams {
        let stream = stream.expect("a stream");
        // Its events are there already, whatever they are.
        let start = Instant::now();
        collect(&stream).expect("an answer");
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn a_load_tells_how_far_it_is_and_can_be_cancelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nano.gguf");
    std::fs::write(&path, nano::model("qwen2", TensorType::Q4K)).expect("the model is written");
    let path = path.display().to_string();

    let task = LoadTask::new();
    assert_eq!(task.progress(), 0.0);
    wait(LocalModel::load(path.clone(), CPU, Some(task.clone()))).expect("the model loads");
    assert_eq!(task.progress(), 1.0);

    let task = LoadTask::new();
    task.cancel();
    let refused = wait(LocalModel::load(path, CPU, Some(task))).err();
    assert_eq!(refused, Some(PocketError::Cancelled));
}

/// Keeps what it is told, and fails.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl LogSink for Lines {
    fn log(&self, level: LogLevel, target: String, message: String) -> Result<(), PocketError> {
        let line = format!("{level:?} {target} {message}");
        self.0.lock().expect("a lock").push(line);
        Err(PocketError::Busy)
    }
}

#[test]
fn messages_go_to_the_sink_at_the_level_asked_for() {
    let lines = Arc::new(Lines::default());
    set_log_sink(Some(lines.clone()), LogLevel::Info).expect("a sink");
    let _ = model();
    set_log_sink(Some(lines.clone()), LogLevel::Error).expect("a sink");
    let at_info = lines.0.lock().expect("a lock").clone();
    let loaded =
        |line: &&String| line.starts_with("Info pocketlm::") && line.contains("model loaded");
    let line = at_info.iter().find(loaded).expect("a line about loading");
    assert!(line.contains("architecture=\"qwen2\""), "{line}");
    set_log_sink(None, LogLevel::Trace).expect("no sink");
    let _ = model();
    // A test on another thread may be in the middle of a message.
    let start = Instant::now();
    while Arc::strong_count(&lines) > 1 {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the sink is still held"
        );
        thread::yield_now();
    }
}
