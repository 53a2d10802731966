//! The chat template of a model file.

use super::ChatTemplate;
use crate::error::Result;
use crate::gguf::Gguf;
use crate::tokenizer::Tokenizer;

/// The key of the template, and of the variant to use when there are tools.
const TEMPLATE: &str = "tokenizer.chat_template";
const TOOL_TEMPLATE: &str = "tokenizer.chat_template.tool_use";

impl ChatTemplate {
    /// Reads and compiles the template of a model file, with its variant for tools where it has
    /// one. `None` when the file has no template: base models have none.
    ///
    /// # Errors
    /// [`PocketError::TemplateFailed`](crate::error::PocketError::TemplateFailed) when a template
    /// does not compile, [`PocketError::CorruptModel`](crate::error::PocketError::CorruptModel)
    /// when one is not text.
    pub fn from_gguf(gguf: &Gguf, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let metadata = gguf.metadata();
        let Some(source) = metadata.str(TEMPLATE)?.filter(|s| !s.trim().is_empty()) else {
            return Ok(None);
        };
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id)).unwrap_or("");
        let special = tokenizer.special_texts().map(str::to_owned).collect();
        let template = Self::new(
            source,
            text(tokenizer.bos()),
            text(tokenizer.eos()),
            special,
        )?;
        Ok(Some(match metadata.str(TOOL_TEMPLATE)? {
            Some(source) => template.with_tool_template(source)?,
            None => template,
        }))
    }
}
