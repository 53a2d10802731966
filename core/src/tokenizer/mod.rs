//! Text to token ids and back, from the vocabulary that a GGUF file carries.
//!
//! ```text
//! Gguf ─→ Vocab ─→ special ids ─→ Tokenizer
//! text ─→ special tokens │ text between ─→ BytePair      (pre-tokenizer, merges)
//!                                       ├→ SentencePiece (scores)
//!                                       └→ WordPiece     (longest pieces)    ─→ ids ─→ Detokenizer
//! ```
//!
//! The ids are those that llama.cpp's tokenizers give: its conversion scripts define what the
//! `tokenizer.ggml.*` keys mean, and a model sees at run time what it was checked with. Every step
//! takes time linear in the text, or n log n where symbols merge.
//!
//! On purpose this differs from llama.cpp in three things. Text that spells a control token never
//! becomes one unless control tokens are asked for, neither by merging nor by a name that llama.cpp
//! always looks for. Decoding does not tidy up spaces before punctuation, so that streamed text is
//! the whole text. And a byte-pair file that names no beginning or end of sequence has none, where
//! llama.cpp takes token 11, which is Falcon's.

mod byte_pair;
mod classes;
mod deepseek;
mod detokenizer;
mod merge;
mod passes;
mod pretokenizers;
mod scan;
mod sentencepiece;
mod special;
mod special_ids;
mod text_index;
mod vocab;
mod wordpiece;

use std::sync::Arc;

pub use detokenizer::Detokenizer;
pub use pretokenizers::{PRETOKENIZERS, PreTokenizer};
pub use special::Special;
pub use special_ids::SpecialIds;

use crate::error::{PocketError, Result};
use crate::gguf::{Gguf, Metadata};
use byte_pair::BytePair;
use merge::Merger;
use sentencepiece::SentencePiece;
use special::{Fragment, SpecialTokens};
use special_ids::DefaultIds;
use vocab::{Attributes, Vocab, key_name};
use wordpiece::WordPiece;

/// Metadata key of the tokenizer's family.
const MODEL: &str = "tokenizer.ggml.model";
/// Metadata key of the pre-tokenizer.
const PRE: &str = "tokenizer.ggml.pre";
/// Metadata keys of what is added around a text.
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
const ADD_SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
/// Metadata keys of BERT's normalizer.
const LOWERCASE: &str = "tokenizer.ggml.normalizer.lowercase";
const STRIP_ACCENTS: &str = "tokenizer.ggml.normalizer.strip_accents";

/// The longest text that is tokenized, in bytes; symbols are counted in 32 bits.
const MAX_TEXT: usize = 1 << 30;

/// The tokenizer of a model. Cheap to clone: clones share the vocabulary.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

/// What a tokenizer and its detokenizers share.
#[derive(Debug)]
pub(crate) struct Inner {
    vocab: Vocab,
    family: Family,
    special: SpecialTokens,
    ids: SpecialIds,
    ends: Vec<u32>,
    /// Tokens around a text that is a sequence of its own.
    first: Option<u32>,
    last: Option<u32>,
}

#[derive(Debug)]
enum Family {
    BytePair(BytePair),
    SentencePiece(SentencePiece),
    WordPiece(WordPiece),
}

impl Tokenizer {
    /// Builds the tokenizer of a model file.
    ///
    /// # Errors
    /// - `UnsupportedModel`, naming it, for a `tokenizer.ggml.model` other than `gpt2`, `gemma4`,
    ///   `llama` and `bert`, or a `tokenizer.ggml.pre` that is not in [`PRETOKENIZERS`].
    /// - `CorruptModel`, naming the key, for a vocabulary that contradicts itself.
    pub fn from_gguf(gguf: &Gguf) -> Result<Tokenizer> {
        let metadata = gguf.metadata();
        let model = metadata.require_str(MODEL)?;
        let (defaults, pre) = match model {
            "gpt2" | "gemma4" => (DefaultIds::default(), Some(pre_tokenizer(metadata, model)?)),
            "llama" => (
                DefaultIds {
                    bos: Some(1),
                    eos: Some(2),
                    unk: Some(0),
                    sep: None,
                },
                None,
            ),
            "bert" => (
                DefaultIds {
                    bos: Some(101),
                    eos: None,
                    unk: Some(100),
                    sep: Some(102),
                },
                None,
            ),
            other => {
                return Err(PocketError::unsupported(format!(
                    "tokenizer model `{other}`"
                )));
            }
        };
        let mut vocab = Vocab::read(metadata)?;
        let (ids, ends) = special_ids::resolve(metadata, defaults, &mut vocab)?;
        special_ids::mark_stripping(metadata, metadata.str(PRE)?.unwrap_or(""), &mut vocab)?;
        let special = SpecialTokens::new(&vocab)?;
        let (family, add_bos_default) = match (model, pre) {
            (_, Some(pre)) => {
                let family = Family::BytePair(BytePair::read(metadata, pre, &vocab)?);
                (family, pre.add_bos)
            }
            ("llama", None) => {
                let add_space = metadata.bool(ADD_SPACE_PREFIX)?.unwrap_or(true);
                let family = SentencePiece::new(&vocab, add_space, ids.unk);
                (Family::SentencePiece(family), true)
            }
            _ => {
                let lowercase = metadata.bool(LOWERCASE)?.unwrap_or(true);
                let strip_accents = metadata.bool(STRIP_ACCENTS)?.unwrap_or(lowercase);
                let family = WordPiece::new(&vocab, ids.unk, lowercase, strip_accents)?;
                (Family::WordPiece(family), true)
            }
        };
        let wanted = |flag: bool, id: Option<u32>, key: &str| match (flag, id) {
            (true, None) => Err(PocketError::corrupt(
                "the token to add is not in the vocabulary",
                key_name(key),
            )),
            (true, id) => Ok(id),
            (false, _) => Ok(None),
        };
        let (first, last) = if matches!(family, Family::WordPiece(_)) {
            // BERT's classifier and separator frame every text, whatever the flags say.
            let sep_key = "tokenizer.ggml.seperator_token_id";
            (
                wanted(true, ids.bos, "tokenizer.ggml.bos_token_id")?,
                wanted(true, ids.sep, sep_key)?,
            )
        } else {
            // Early Gemma 4 files say by mistake that there is none to add.
            let always = pre.is_some_and(|row| row.plain_text);
            let add_bos = metadata.bool(ADD_BOS)?.unwrap_or(add_bos_default) || always;
            let add_eos = metadata.bool(ADD_EOS)?.unwrap_or(false);
            (
                wanted(add_bos, ids.bos, ADD_BOS)?,
                wanted(add_eos, ids.eos, ADD_EOS)?,
            )
        };
        Ok(Tokenizer {
            inner: Arc::new(Inner {
                vocab,
                family,
                special,
                ids,
                ends,
                first,
                last,
            }),
        })
    }

    /// The ids of `text`.
    ///
    /// With `add_special` the text is a sequence of its own: the tokens that this vocabulary wants
    /// around one are added (a beginning-of-sequence token for most, `[CLS]` and `[SEP]` for BERT,
    /// none for many byte-pair vocabularies).
    ///
    /// # Errors
    /// `InvalidArgument` for a text longer than 1 GiB.
    pub fn encode(&self, text: &str, add_special: bool, special: Special<'_>) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 2);
        if add_special {
            ids.extend(self.inner.first);
        }
        self.append(text, special, true, &mut ids)?;
        if add_special {
            ids.extend(self.inner.last);
        }
        Ok(ids)
    }

    /// The ids of a text that continues another: no space is put before it, as a SentencePiece
    /// vocabulary does at the start of a text.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_continuing(&self, text: &str, special: Special<'_>) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.append(text, special, false, &mut ids)?;
        Ok(ids)
    }

    /// Appends the ids of `text`, which starts a sequence or follows a special token where
    /// `is_start`.
    fn append(
        &self,
        text: &str,
        special: Special<'_>,
        is_start: bool,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        if text.len() > MAX_TEXT {
            return Err(PocketError::invalid(
                "text",
                format!("{} bytes, the most is {MAX_TEXT}", text.len()),
            ));
        }
        let inner = &*self.inner;
        let mut merger = Merger::default();
        let mut after_special = is_start;
        for fragment in inner.special.partition(text, special) {
            let range = match fragment {
                Fragment::Token(id) => {
                    ids.push(id);
                    after_special = true;
                    continue;
                }
                Fragment::Text(range) => range,
            };
            let part = text.get(range).unwrap_or_default();
            match &inner.family {
                Family::BytePair(f) => f.encode(&inner.vocab, part, &mut merger, ids),
                Family::SentencePiece(f) => {
                    f.encode(&inner.vocab, part, after_special, &mut merger, ids);
                }
                Family::WordPiece(f) => f.encode(part, ids),
            }
            after_special = false;
        }
        Ok(())
    }

    /// The text of a sequence of tokens. Control tokens are no text; bytes that are no UTF-8
    /// become U+FFFD. A SentencePiece vocabulary that puts a space before each text loses it here
    /// again, when the first token carries it.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut detokenizer = self.detokenizer();
        let mut text: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
        text.push_str(&detokenizer.finish());
        text
    }

    /// A detokenizer for a text that starts with the next token.
    pub fn detokenizer(&self) -> Detokenizer {
        Detokenizer::new(self.inner.clone(), self.adds_space_prefix())
    }

    /// Whether the vocabulary puts a space before each text (SentencePiece, as Llama 2 uses it).
    pub fn adds_space_prefix(&self) -> bool {
        match &self.inner.family {
            Family::SentencePiece(f) => f.add_space_prefix(),
            Family::BytePair(_) | Family::WordPiece(_) => false,
        }
    }

    /// A detokenizer for tokens that continue a text, such as generated ones after a prompt: a
    /// space at the start of the first is part of the text.
    pub fn continuing_detokenizer(&self) -> Detokenizer {
        Detokenizer::new(self.inner.clone(), false)
    }

    /// The number of tokens. A model may have more rows of logits than that.
    pub fn vocab_size(&self) -> usize {
        self.inner.vocab.len()
    }

    /// The token that begins a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.inner.ids.bos
    }

    /// The token that ends a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.inner.ids.eos
    }

    /// All tokens with a special meaning.
    pub fn special_ids(&self) -> &SpecialIds {
        &self.inner.ids
    }

    /// Whether [`encode`](Self::encode) with `add_special` begins with [`bos`](Self::bos).
    pub fn adds_bos(&self) -> bool {
        self.inner.first.is_some()
    }

    /// The tokens at which generation ends, sorted: end of sequence, turn or message, and those
    /// whose text says so.
    pub fn end_of_generation(&self) -> &[u32] {
        &self.inner.ends
    }

    /// The text of a token as it is in the vocabulary, in the vocabulary's own spelling.
    pub fn token_text(&self, id: u32) -> Option<&str> {
        self.inner.vocab.text(id)
    }

    /// The token with exactly this text, in the vocabulary's own spelling.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.inner.vocab.id(text)
    }

    /// Whether a token is structure and not text.
    pub fn is_control(&self, id: u32) -> bool {
        self.inner.vocab.attributes(id).any(Attributes::CONTROL)
    }

    /// The texts that [`Special::Parse`] turns into tokens and [`Special::Text`] does not.
    pub fn special_texts(&self) -> impl Iterator<Item = &str> {
        let inner = &*self.inner;
        inner
            .special
            .guarded()
            .filter_map(|id| inner.vocab.text(id))
    }

    /// The bytes that a token stands for inside a text; none for control tokens and ids outside
    /// the vocabulary. They need not be whole characters.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.inner.append_bytes(id, &mut bytes);
        bytes
    }
}

/// The row of the pre-tokenizer table that the file names.
fn pre_tokenizer(metadata: &Metadata, model: &str) -> Result<&'static PreTokenizer> {
    let name = match model {
        "gemma4" => model,
        _ => metadata.str(PRE)?.unwrap_or("default"),
    };
    PreTokenizer::named(name)
        .ok_or_else(|| PocketError::unsupported(format!("pre-tokenizer `{name}`")))
}
