//! Saved sessions: whole, damaged, encrypted, somebody else's.

use std::fs;
use std::path::Path;

use pocketlm::gguf::{Gguf, TensorType, WriteValue};
use pocketlm::kernels::KvType;
use pocketlm::{
    DeviceChoice, LoadOptions, LocalModel, ModelSession, PocketError, SessionFault, SessionOptions,
};

use super::{builder, greedy, model};

const KEY: [u8; 32] = [7; 32];

/// A session after two turns.
fn talked(model: &LocalModel) -> ModelSession {
    let session = super::session(model);
    for prompt in ["and hello", "the world"] {
        session.respond(prompt, &greedy(model, 8)).expect("answers");
    }
    session
}

fn next(session: &ModelSession) -> (String, usize) {
    let options = greedy(session.model(), 12);
    let response = session.respond("again", &options).expect("answers");
    (response.text, response.usage.cached_tokens)
}

fn fault(model: &LocalModel, path: &Path, key: Option<&[u8; 32]>) -> SessionFault {
    match model.restore(path, key, SessionOptions::default()) {
        Err(PocketError::SessionFile { fault, detail }) => {
            assert!(!detail.is_empty());
            fault
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("restored"),
    }
}

#[test]
fn a_restored_session_goes_on_as_if_it_had_never_been_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model(None);
    for key in [None, Some(&KEY)] {
        let path = folder.path().join("chat");
        let session = talked(&model);
        session.save(&path, key).expect("saves");
        let expected = next(&session);
        let restored = model.restore(&path, key, SessionOptions::default());
        let restored = restored.expect("restores");
        assert_eq!(restored.transcript().expect("idle").len(), 5);
        assert_eq!(next(&restored), expected, "the same tokens, as many cached");
        // In another process, so to speak: the same file loaded again.
        let again = model_with(builder::recipe("qwen2"), LoadOptions::default());
        let restored = again.restore(&path, key, SessionOptions::default());
        assert_eq!(next(&restored.expect("restores")), expected);
    }
    let names: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(names.len(), 1, "nothing is left beside the file");
}

fn model_with(recipe: &builder::Recipe, options: LoadOptions) -> LocalModel {
    let bytes = recipe
        .build(builder::Weights::All(TensorType::Q4K))
        .to_bytes();
    from_bytes(bytes, options)
}

fn from_bytes(bytes: Vec<u8>, options: LoadOptions) -> LocalModel {
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        ..options
    };
    LocalModel::from_gguf(&Gguf::from_bytes(bytes).expect("a GGUF"), &options).expect("loads")
}

#[test]
fn every_architecture_and_cache_type_survives() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    for name in ["llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"] {
        for kv in [KvType::F16, KvType::Q8_0] {
            let options = LoadOptions {
                kv,
                ..LoadOptions::default()
            };
            let model = model_with(builder::recipe(name), options);
            let session = talked(&model);
            session.save(&path, None).expect("saves");
            let restored = model.restore(&path, None, SessionOptions::default());
            let restored = restored.expect("restores");
            assert_eq!(next(&restored), next(&session), "{name}, {kv}");
        }
    }
}

#[test]
fn a_cache_of_another_type_or_size_is_computed_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let with = |kv: KvType, context: Option<usize>| {
        let options = LoadOptions {
            kv,
            context,
            ..LoadOptions::default()
        };
        model_with(builder::recipe("qwen2"), options)
    };
    talked(&with(KvType::F16, None))
        .save(&path, None)
        .expect("saves");
    let model = with(KvType::Q8_0, None);
    let restored = model.restore(&path, None, SessionOptions::default());
    let (text, cached) = next(&restored.expect("restores"));
    assert_eq!(cached, 0);
    // What this model says after a transcript that it did not write itself.
    let file = folder.path().join("other");
    let restored = model.restore(&path, None, SessionOptions::default());
    restored
        .expect("restores")
        .save(&file, None)
        .expect("saves");
    let restored = model.restore(&file, None, SessionOptions::default());
    assert_eq!(next(&restored.expect("restores")).0, text);

    // A window in which not all of the saved positions fit: the turn does not fit either.
    let small = with(KvType::F16, Some(40));
    let restored = small.restore(&path, None, SessionOptions::default());
    let answer = restored
        .expect("restores")
        .respond("again", &greedy(&small, 4));
    assert!(matches!(
        answer,
        Err(PocketError::ContextExceeded { size: 40, .. })
    ));
}

#[test]
fn a_file_holds_nothing_of_turns_that_were_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    let model = model(None);
    let session = talked(&model);
    session.save(&before, None).expect("saves");
    session
        .respond("is this the user", &greedy(&model, 9))
        .expect("answers");
    session.save(&after, None).expect("saves");
    let read = |path: &Path| fs::read(path).expect("reads");
    assert!(read(&after).len() > read(&before).len());
    session.rewind(2).expect("rewinds");
    session.save(&after, None).expect("saves");
    let rewound = read(&after);
    // Nothing but header, manifest and the positions of what was said.
    let tokens = session.transcript_tokens().expect("counts");
    assert!(rewound.len() <= 1200 + tokens * (4 + 1024));
    if !super::cancel_after(&session, &greedy(&model, 100), 0) {
        session.rewind(2).expect("rewinds");
    }
    session.save(&after, None).expect("saves");
    assert!(read(&after) == rewound, "the same bytes");
}

#[test]
fn new_instructions_take_the_place_of_saved_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let model = model(None);
    talked(&model).save(&path, None).expect("saves");
    let options = SessionOptions::instructions("the assistant");
    let restored = model.restore(&path, None, options).expect("restores");
    let transcript = restored.transcript().expect("idle");
    assert_eq!(transcript.len(), 5);
    assert_eq!(transcript[0].content, "the assistant");
    next(&restored);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let model = model(None);
    let session = talked(&model);
    for key in [None, Some(&KEY)] {
        session.save(&path, key).expect("saves");
        let whole = fs::read(&path).expect("reads");
        for len in (0..whole.len()).step_by(97) {
            fs::write(&path, &whole[..len]).expect("writes");
            let expected = match len {
                0 => SessionFault::NotASession,
                _ => SessionFault::Truncated,
            };
            assert_eq!(fault(&model, &path, key), expected, "cut at {len}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        fs::write(&path, longer).expect("writes");
        assert_eq!(fault(&model, &path, key), SessionFault::Damaged);
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let model = model(None);
    let session = talked(&model);
    for key in [None, Some(&KEY)] {
        session.save(&path, key).expect("saves");
        let whole = fs::read(&path).expect("reads");
        // All of the header and manifest, and places in the keys and values.
        let dense = 0..2_000.min(whole.len());
        let sparse = (2_000..whole.len()).step_by(1_999);
        let last = whole.len() - 40..whole.len();
        for at in dense.chain(sparse).chain(last) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).expect("writes");
            let expected = match at {
                0..8 => SessionFault::NotASession,
                _ => SessionFault::Damaged,
            };
            assert_eq!(fault(&model, &path, key), expected, "a bit of byte {at}");
        }
        fs::write(&path, &whole).expect("writes");
        model
            .restore(&path, key, SessionOptions::default())
            .expect("the whole file is fine");
    }
}

#[test]
fn chunks_cannot_change_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let model = model(None);
    let session = super::session(&model);
    let long = "z".repeat(150);
    session.respond(&long, &greedy(&model, 4)).expect("answers");
    session.save(&path, Some(&KEY)).expect("saves");
    let whole = fs::read(&path).expect("reads");
    const SEALED: usize = (64 << 10) + 16;
    assert!(whole.len() > 96 + 2 * SEALED, "{} bytes", whole.len());
    let mut exchanged = whole.clone();
    let (first, second) = exchanged[96..96 + 2 * SEALED].split_at_mut(SEALED);
    first.swap_with_slice(second);
    fs::write(&path, exchanged).expect("writes");
    assert_eq!(fault(&model, &path, Some(&KEY)), SessionFault::Damaged);
}

#[test]
fn keys_are_asked_for_and_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    let model = model(None);
    let session = talked(&model);
    session.save(&plain, None).expect("saves");
    session.save(&sealed, Some(&KEY)).expect("saves");
    let mut wrong = KEY;
    wrong[31] ^= 1;
    assert_eq!(fault(&model, &sealed, None), SessionFault::KeyMissing);
    assert_eq!(fault(&model, &sealed, Some(&wrong)), SessionFault::WrongKey);
    assert_eq!(
        fault(&model, &plain, Some(&KEY)),
        SessionFault::NotEncrypted
    );
    let sealed = fs::read(&sealed).expect("reads");
    let text = b"and hello";
    assert!(!sealed.windows(text.len()).any(|w| w == text), "readable");
    let plain = fs::read(&plain).expect("reads");
    assert!(
        plain.windows(text.len()).any(|w| w == text),
        "the test looks for the right text"
    );
}

#[test]
fn other_files_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let ours = model(None);
    assert_eq!(fault(&ours, &path, None), SessionFault::Unreadable);
    assert_eq!(fault(&ours, folder.path(), None), SessionFault::Unreadable);
    fs::write(&path, "a text").expect("writes");
    assert_eq!(fault(&ours, &path, None), SessionFault::NotASession);

    talked(&ours).save(&path, None).expect("saves");
    let mut nano = builder::recipe("qwen2").build(builder::Weights::All(TensorType::Q4K));
    let template = "{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}";
    nano.set("tokenizer.chat_template", template);
    let other_template = from_bytes(nano.to_bytes(), LoadOptions::default());
    assert_eq!(
        fault(&other_template, &path, None),
        SessionFault::OtherTemplate
    );

    let llama = model_with(builder::recipe("llama"), LoadOptions::default());
    assert_eq!(fault(&llama, &path, None), SessionFault::OtherModel);
    // The same header, other weights: a fine-tuned model, say.
    let mut nano = builder::recipe("qwen2").build(builder::Weights::All(TensorType::Q4K));
    nano.tensors[3].bytes[20] ^= 1;
    let tuned = from_bytes(nano.to_bytes(), LoadOptions::default());
    assert_eq!(fault(&tuned, &path, None), SessionFault::OtherModel);
    let mut nano = builder::recipe("qwen2").build(builder::Weights::All(TensorType::Q4K));
    nano.set("qwen2.rope.freq_base", WriteValue::F32(1e5));
    let other_base = from_bytes(nano.to_bytes(), LoadOptions::default());
    assert_eq!(fault(&other_base, &path, None), SessionFault::OtherModel);
}

#[test]
fn a_save_that_fails_leaves_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model(None);
    let session = talked(&model);
    let unwritable = |path: &Path| match session.save(path, None) {
        Err(PocketError::SessionFile { fault, .. }) => assert_eq!(fault, SessionFault::Unwritable),
        other => panic!("{other:?}"),
    };
    unwritable(&folder.path().join("no such folder/chat"));
    unwritable(Path::new("/"));
    // A folder of that name cannot be replaced; nothing is left beside it.
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("file"), "x").expect("writes");
    unwritable(&taken);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next_save() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let left = folder.path().join(".chat.123-0.part");
    fs::write(&left, "half of a session").expect("writes");
    let other = folder.path().join(".chats.123-0.part");
    fs::write(&other, "somebody else's").expect("writes");
    talked(&model(None)).save(&path, None).expect("saves");
    assert!(!left.exists() && other.exists() && path.exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else reads it");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn on_a_gpu_branches_and_saved_sessions_compute_their_prompt_again() {
    let gguf = Gguf::from_bytes(builder::model("qwen2", TensorType::Q4K)).expect("a GGUF");
    let options = LoadOptions {
        device: DeviceChoice::Gpu,
        ..LoadOptions::default()
    };
    let model = match LocalModel::from_gguf(&gguf, &options) {
        Ok(model) => model,
        Err(error @ PocketError::DeviceUnavailable { .. }) => {
            eprintln!("SKIPPED: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    model.prewarm().expect("prewarms");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat");
    let session = talked(&model);
    session.save(&path, Some(&KEY)).expect("saves");
    let fork = session.fork().expect("forks");
    let restored = model.restore(&path, Some(&KEY), SessionOptions::default());
    let restored = restored.expect("restores");
    assert!(next(&session).1 > 0);
    let (text, cached) = next(&fork);
    assert_eq!(cached, 0);
    assert_eq!(next(&restored), (text, 0));
    model.close();
    assert_eq!(fork.fork().err(), Some(PocketError::Closed));
}
