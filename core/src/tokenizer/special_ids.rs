//! Which tokens have a special meaning: by metadata key where the file says, else by their text.

use super::vocab::{Attributes, Vocab, key_name};
use crate::error::{PocketError, Result};
use crate::gguf::Metadata;

/// The tokens with a special meaning. A field is `None` where the vocabulary has no such token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Begins a sequence (for BERT: the classification token).
    pub bos: Option<u32>,
    /// Ends a sequence.
    pub eos: Option<u32>,
    /// Ends a turn of a conversation.
    pub eot: Option<u32>,
    /// Ends a message that a tool call continues.
    pub eom: Option<u32>,
    /// Stands for text that the vocabulary cannot spell.
    pub unk: Option<u32>,
    /// Separates or ends segments (BERT).
    pub sep: Option<u32>,
    /// Before the text that precedes a gap to fill.
    pub fim_prefix: Option<u32>,
    /// Before the text that follows the gap.
    pub fim_suffix: Option<u32>,
    /// Where the text of the gap is to be generated.
    pub fim_middle: Option<u32>,
    /// Padding of fill-in-the-middle training.
    pub fim_pad: Option<u32>,
    /// Before the name of a repository.
    pub fim_repo: Option<u32>,
    /// Between files of a repository.
    pub fim_separator: Option<u32>,
}

/// Texts that mark the end of a turn, in order of preference.
const END_OF_TURN: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
const END_OF_MESSAGE: &[&str] = &["<|eom_id|>"];
const FIM_PREFIX: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];
const FIM_SUFFIX: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];
const FIM_MIDDLE: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];
const FIM_PAD: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];
const FIM_REPO: &[&str] = &[
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
];
const FIM_SEPARATOR: &[&str] = &["<|file_sep|>"];

/// Texts at which generation ends, whatever the file says about them.
const END_OF_GENERATION: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Texts that are rendered although the file calls them control tokens (the Harmony format).
const ALWAYS_RENDERED: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// What a tokenizer family assumes where the file is silent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DefaultIds {
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) unk: Option<u32>,
    pub(super) sep: Option<u32>,
}

/// Reads the special ids and finds those that only their text gives away, marking these in `vocab`
/// as control tokens. Returns the ids and the tokens that end generation, sorted.
///
/// Where several texts of one meaning are in a vocabulary, the first of the list is taken
/// (llama.cpp takes any); all of them end generation.
///
/// # Errors
/// `CorruptModel`, naming the key, for a value that is not an id of the vocabulary. Keys of tokens
/// that this crate does not use (padding, mask) are not read, because real files hold -1 there.
pub(super) fn resolve(
    metadata: &Metadata,
    defaults: DefaultIds,
    vocab: &mut Vocab,
) -> Result<(SpecialIds, Vec<u32>)> {
    let read = |names: &[&str], default: Option<u32>| -> Result<Option<u32>> {
        for name in names {
            let key = format!("tokenizer.ggml.{name}_token_id");
            if let Some(id) = metadata.u32(&key)? {
                return match (id as usize) < vocab.len() {
                    true => Ok(Some(id)),
                    false => Err(PocketError::corrupt(
                        format!("token id {id}, the vocabulary has {} tokens", vocab.len()),
                        key_name(&key),
                    )),
                };
            }
        }
        Ok(default.filter(|&id| (id as usize) < vocab.len()))
    };
    let mut ids = SpecialIds {
        bos: read(&["bos"], defaults.bos)?,
        eos: read(&["eos"], defaults.eos)?,
        eot: read(&["eot"], None)?,
        eom: read(&["eom"], None)?,
        unk: read(&["unknown"], defaults.unk)?,
        sep: read(&["separator", "seperator"], defaults.sep)?,
        fim_prefix: read(&["fim_pre", "prefix"], None)?,
        fim_suffix: read(&["fim_suf", "suffix"], None)?,
        fim_middle: read(&["fim_mid", "middle"], None)?,
        fim_pad: read(&["fim_pad"], None)?,
        fim_repo: read(&["fim_rep"], None)?,
        fim_separator: read(&["fim_sep"], None)?,
    };
    let by_text = [
        (&mut ids.eot, END_OF_TURN),
        (&mut ids.eom, END_OF_MESSAGE),
        (&mut ids.fim_prefix, FIM_PREFIX),
        (&mut ids.fim_suffix, FIM_SUFFIX),
        (&mut ids.fim_middle, FIM_MIDDLE),
        (&mut ids.fim_pad, FIM_PAD),
        (&mut ids.fim_repo, FIM_REPO),
        (&mut ids.fim_separator, FIM_SEPARATOR),
    ];
    for (id, texts) in by_text {
        if id.is_none() {
            *id = texts.iter().find_map(|text| vocab.id(text));
            if let Some(id) = *id {
                make_control(vocab, id);
            }
        }
    }
    let ends = end_of_generation(&ids, vocab);
    Ok((ids, ends))
}

fn make_control(vocab: &mut Vocab, id: u32) {
    let attributes = vocab.attributes(id);
    vocab.set_attributes(id, attributes.with(Attributes::CONTROL));
}

/// The tokens that end generation, sorted.
fn end_of_generation(ids: &SpecialIds, vocab: &mut Vocab) -> Vec<u32> {
    let mut ends = Vec::new();
    for id in END_OF_GENERATION
        .iter()
        .filter_map(|t| vocab.id(t))
        .collect::<Vec<_>>()
    {
        make_control(vocab, id);
        ends.push(id);
    }
    for id in ALWAYS_RENDERED
        .iter()
        .filter_map(|t| vocab.id(t))
        .collect::<Vec<_>>()
    {
        render_as_text(vocab, id, Attributes::USER_DEFINED);
    }
    ends.extend(
        [ids.fim_pad, ids.fim_repo, ids.fim_separator]
            .into_iter()
            .flatten(),
    );
    ends.extend([ids.eos, ids.eot, ids.eom].into_iter().flatten());
    ends.sort_unstable();
    ends.dedup();

    let ending = |text: &str| vocab.id(text).filter(|id| ends.contains(id));
    // Harmony and Solar end a message, not the turn, with `<|end|>`.
    let calls = ending("<|call|>").is_some() || ending("<|calls|>").is_some();
    let returns = ending("<|return|>").is_some() || ending("<|flush|>").is_some();
    let message_end = ending("<|end|>").filter(|_| calls && returns);
    // Where turns end otherwise, `</s>` is text, for instance of a web page.
    let markup = ending("<|tool_response>").or_else(|| ending("<|plamo:eos|>"));
    let strike_end = ending("</s>").filter(|_| markup.is_some());
    if let Some(id) = message_end {
        render_as_text(vocab, id, Attributes::USER_DEFINED);
        ends.retain(|&end| end != id);
    }
    if let Some(id) = strike_end {
        vocab.set_attributes(id, Attributes::NORMAL);
        ends.retain(|&end| end != id);
    }
    ends
}

/// Gives a token a role in text. One that the file calls a control token stays guarded: it is
/// still not found in text that is only text, where llama.cpp would find it.
fn render_as_text(vocab: &mut Vocab, id: u32, role: Attributes) {
    let guarded = vocab.attributes(id).any(Attributes::GUARDED);
    let attributes = match guarded {
        true => role.with(Attributes::GUARDED),
        false => role,
    };
    vocab.set_attributes(id, attributes);
}

/// Marks the tokens that swallow white space beside them. Files do not say which do; llama.cpp
/// knows by the names of model and pre-tokenizer.
pub(super) fn mark_stripping(metadata: &Metadata, pre: &str, vocab: &mut Vocab) -> Result<()> {
    let name = metadata.str("general.name")?.unwrap_or("").to_lowercase();
    let architecture = metadata.str("general.architecture")?.unwrap_or("");
    let mut strip_left = |text: &str| {
        if let Some(id) = vocab.id(text) {
            let attributes = vocab.attributes(id);
            vocab.set_attributes(id, attributes.with(Attributes::STRIP_LEFT));
        }
    };
    if ["jina-v2-de", "jina-v2-es", "jina-v2-code"].contains(&pre)
        || ["nomic-bert-moe", "jina-bert-v3"].contains(&architecture)
    {
        strip_left("<mask>");
    } else if name.contains("phi-3") || name.contains("phi3") {
        let special = Attributes::CONTROL
            .with(Attributes::USER_DEFINED)
            .with(Attributes::UNKNOWN);
        for id in 0..vocab.len() as u32 {
            let attributes = vocab.attributes(id);
            let text = vocab.text(id).unwrap_or_default();
            let keeps = ["<unk>", "<s>", "<|endoftext|>"].contains(&text);
            if (attributes.any(special) || text == "</s>") && !keeps {
                vocab.set_attributes(id, attributes.with(Attributes::STRIP_RIGHT));
            }
        }
    } else if name.contains("modern-bert") {
        strip_left("[MASK]");
    }
    Ok(())
}
