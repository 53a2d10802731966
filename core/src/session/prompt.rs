//! A conversation as the model reads it.

use crate::chat::{Message, ToolSpec};
use crate::error::Result;
use crate::tokenizer::Special;

use super::model::LocalModel;
use super::options::GenerateOptions;
use super::reasoning::{FORCED_CLOSE, GAP, Splitter};

/// Token ids of a whole conversation.
pub struct Prompt {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Whether the prompt itself opens the model's thinking.
    pub opens_thinking: bool,
}

impl Prompt {
    /// Renders `messages` and `tools` with the model's chat template, or the messages line by line
    /// where it has none; with `answer`, up to where the next answer begins.
    ///
    /// # Errors
    /// [`PocketError::TemplateFailed`](crate::PocketError::TemplateFailed), and those of the
    /// tokenizer.
    pub fn render(
        model: &LocalModel,
        messages: &[Message],
        tools: &[ToolSpec],
        answer: bool,
    ) -> Result<Self> {
        let tokenizer = model.tokenizer();
        let Some(template) = &model.inner.template else {
            let lines: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
            return Ok(Self {
                ids: tokenizer.encode(&lines.join("\n"), true, Special::Text)?,
                opens_thinking: false,
            });
        };
        let rendered = template.render(messages, tools, answer)?;
        let literal = Special::ParseOutside(&rendered.literal);
        let mut ids = tokenizer.encode(&rendered.text, false, literal)?;
        // Most templates spell the BOS token out; the others leave it to the tokenizer. An EOS
        // that a tokenizer would add has no place before an answer.
        if tokenizer.adds_bos()
            && let Some(bos) = tokenizer.bos()
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(Self {
            ids,
            opens_thinking: Splitter::prompt_opens(&rendered.text),
        })
    }

    /// The same prompt with the model's thinking closed before it begins.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn without_thinking(&self, model: &LocalModel) -> Result<Self> {
        Ok(Self {
            ids: [
                self.ids.as_slice(),
                &closing(model, &GenerateOptions::default())?,
            ]
            .concat(),
            opens_thinking: false,
        })
    }
}

/// The tokens that end the model's thinking. Where the answer has a format, that decides what comes
/// next; elsewhere blank lines do.
///
/// # Errors
/// Those of the tokenizer.
pub fn closing(model: &LocalModel, options: &GenerateOptions) -> Result<Vec<u32>> {
    let gap = match options.format {
        Some(_) => "",
        None => GAP,
    };
    let text = format!("{FORCED_CLOSE}{gap}");
    model.tokenizer().encode(&text, false, Special::Parse)
}
