//! What an app may ask for, as records. `None` takes the library's default everywhere, so that a
//! default value is written in one place, the Rust crate.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::PocketError;
use crate::model::LocalModel;
use crate::tools::ToolSpec;

/// How to load a model.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct LoadOptions {
    /// Where to run; [`DeviceChoice::Auto`] by default.
    #[uniffi(default = None)]
    pub device: Option<DeviceChoice>,
    /// CPU threads; as many as the process may run at once by default.
    #[uniffi(default = None)]
    pub threads: Option<u32>,
    /// Positions a session may use; 4096 by default, never more than the file's.
    #[uniffi(default = None)]
    pub context: Option<u32>,
    /// How keys and values are kept; [`KvType::F16`] by default.
    #[uniffi(default = None)]
    pub kv: Option<KvType>,
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum DeviceChoice {
    /// The GPU when there is a real one, else the CPU, with a notice.
    Auto,
    /// SIMD kernels on the CPU.
    Cpu,
    /// The GPU; an error when it cannot be used.
    Gpu,
    /// A slow, exact evaluator, for comparisons.
    Reference,
}

/// How a session's keys and values are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum KvType {
    /// Two bytes an element.
    F16,
    /// About one byte an element: half the memory, slightly less exact. On the CPU only.
    Q8_0,
    /// Four bytes an element. On the CPU only.
    F32,
}

/// How a conversation begins.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct SessionOptions {
    /// The system message.
    #[uniffi(default = None)]
    pub instructions: Option<String>,
    /// What the model may call.
    #[uniffi(default = [])]
    pub tools: Vec<ToolSpec>,
    /// How often in a turn the model may call tools; 8 by default.
    #[uniffi(default = None)]
    pub max_tool_rounds: Option<u32>,
    /// What happens when the conversation outgrows the context window; [`ContextPolicy::Error`] by
    /// default.
    #[uniffi(default = None)]
    pub overflow: Option<ContextPolicy>,
}

/// What happens when a conversation outgrows the context window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ContextPolicy {
    /// The turn is refused with `ContextExceeded`, and nothing changes.
    Error,
    /// The oldest turns are no longer sent to the model; `Notice::TurnsDropped` tells of it.
    KeepNewest,
}

/// Options of one answer.
#[derive(Clone, uniffi::Record)]
pub struct GenerateOptions {
    /// How tokens are drawn.
    pub sample: SampleOptions,
    /// The most tokens to generate; without it only the model's own end or a full context stops.
    #[uniffi(default = None)]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer; they are not part of it.
    #[uniffi(default = [])]
    pub stop: Vec<String>,
    /// Whether several tokens are guessed and checked in one pass; [`Speculation::Auto`] by default.
    #[uniffi(default = None)]
    pub speculation: Option<Speculation>,
    /// What the answer must look like; anything by default.
    #[uniffi(default = None)]
    pub format: Option<OutputFormat>,
    /// Tokens of thinking after which a reasoning model has to answer; 0 lets it not think at all.
    #[uniffi(default = None)]
    pub reasoning_budget: Option<u32>,
}

/// What an answer must look like: the model cannot write anything else.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum OutputFormat {
    /// A JSON object or array, of any content.
    Json,
    /// JSON that is valid under a JSON Schema.
    JsonSchema {
        /// The schema, as JSON text.
        schema_json: String,
    },
    /// Text that matches a regular expression as a whole.
    Regex {
        /// The expression, without look-around and back-references.
        pattern: String,
    },
    /// Text that a context-free grammar generates.
    Lark {
        /// The grammar in Lark's syntax; it begins at `start`.
        grammar: String,
    },
}

/// Whether several tokens are guessed and checked in one pass. The answer is the same in every case;
/// what changes is how long it takes.
#[derive(Clone, uniffi::Enum)]
pub enum Speculation {
    /// `Lookup` on the CPU, `Off` elsewhere.
    Auto,
    /// One token a pass.
    Off,
    /// Looks the last tokens up in the conversation: good for edits, quotations and code, free for
    /// everything else.
    Lookup,
    /// A smaller model with the same vocabulary guesses.
    Draft {
        /// The smaller model.
        model: Arc<LocalModel>,
    },
}

/// How tokens are drawn: the stages of the sampler, in the terms of the literature.
#[derive(Clone, Debug, Default, PartialEq, uniffi::Record)]
pub struct SampleOptions {
    /// Divides the logits; 0 always takes the likeliest token.
    #[uniffi(default = None)]
    pub temperature: Option<f32>,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    #[uniffi(default = None)]
    pub top_k: Option<u32>,
    /// Keeps the likeliest tokens whose probabilities sum to this; 1 keeps all.
    #[uniffi(default = None)]
    pub top_p: Option<f32>,
    /// Drops tokens less likely than this share of the likeliest; 0 drops none.
    #[uniffi(default = None)]
    pub min_p: Option<f32>,
    /// Keeps the most typical tokens whose probabilities sum to this; 1 keeps all.
    #[uniffi(default = None)]
    pub typical_p: Option<f32>,
    /// Weakens tokens seen before by this factor; 1 does nothing.
    #[uniffi(default = None)]
    pub repetition_penalty: Option<f32>,
    /// Subtracted from a token's logit for each time it was seen; 0 does nothing.
    #[uniffi(default = None)]
    pub frequency_penalty: Option<f32>,
    /// Subtracted from the logit of every token seen; 0 does nothing.
    #[uniffi(default = None)]
    pub presence_penalty: Option<f32>,
    /// How many of the last tokens the penalties look at.
    #[uniffi(default = None)]
    pub penalty_window: Option<u32>,
    /// Added to the logits of these tokens, by id; -∞ forbids one.
    #[uniffi(default)]
    pub logit_bias: HashMap<u32, f32>,
    /// The same seed gives the same answer; a fresh one by default.
    #[uniffi(default = None)]
    pub seed: Option<u64>,
}

impl From<LoadOptions> for pocketlm::LoadOptions {
    fn from(options: LoadOptions) -> Self {
        let default = Self::default();
        Self {
            device: options.device.map_or(default.device, Into::into),
            threads: options.threads.map(|threads| threads as usize),
            context: options.context.map(|context| context as usize),
            kv: options.kv.map_or(default.kv, Into::into),
            ..default
        }
    }
}

impl From<DeviceChoice> for pocketlm::DeviceChoice {
    fn from(device: DeviceChoice) -> Self {
        match device {
            DeviceChoice::Auto => Self::Auto,
            DeviceChoice::Cpu => Self::Cpu,
            DeviceChoice::Gpu => Self::Gpu,
            DeviceChoice::Reference => Self::Reference,
        }
    }
}

impl From<KvType> for pocketlm::kernels::KvType {
    fn from(kv: KvType) -> Self {
        match kv {
            KvType::F16 => Self::F16,
            KvType::Q8_0 => Self::Q8_0,
            KvType::F32 => Self::F32,
        }
    }
}

impl From<pocketlm::kernels::KvType> for KvType {
    fn from(kv: pocketlm::kernels::KvType) -> Self {
        use pocketlm::kernels::KvType as Core;
        match kv {
            Core::F16 => Self::F16,
            Core::Q8_0 => Self::Q8_0,
            Core::F32 => Self::F32,
        }
    }
}

impl SessionOptions {
    /// In the terms of the Rust crate, with these tools.
    pub(crate) fn native(self, tools: Vec<Arc<dyn pocketlm::Tool>>) -> pocketlm::SessionOptions {
        let default = pocketlm::SessionOptions::default();
        pocketlm::SessionOptions {
            instructions: self.instructions,
            tools,
            max_tool_rounds: self
                .max_tool_rounds
                .map_or(default.max_tool_rounds, |rounds| rounds as usize),
            overflow: match self.overflow {
                None => default.overflow,
                Some(ContextPolicy::Error) => pocketlm::ContextPolicy::Error,
                Some(ContextPolicy::KeepNewest) => pocketlm::ContextPolicy::KeepNewest,
            },
        }
    }
}

impl TryFrom<GenerateOptions> for pocketlm::GenerateOptions {
    type Error = PocketError;

    fn try_from(options: GenerateOptions) -> Result<Self, PocketError> {
        Ok(Self {
            sample: options.sample.into(),
            max_tokens: options.max_tokens.map(|max| max as usize),
            stop: options.stop,
            speculation: options.speculation.map(Into::into).unwrap_or_default(),
            format: options.format.map(TryInto::try_into).transpose()?,
            reasoning_budget: options.reasoning_budget.map(|tokens| tokens as usize),
        })
    }
}

impl TryFrom<OutputFormat> for pocketlm::OutputFormat {
    type Error = PocketError;

    fn try_from(format: OutputFormat) -> Result<Self, PocketError> {
        Ok(match format {
            OutputFormat::Json => Self::Json,
            OutputFormat::JsonSchema { schema_json } => {
                let schema = serde_json::from_str(&schema_json);
                Self::JsonSchema(schema.map_err(|error| PocketError::invalid("format", error))?)
            }
            OutputFormat::Regex { pattern } => Self::Regex(pattern),
            OutputFormat::Lark { grammar } => Self::Lark(grammar),
        })
    }
}

impl From<Speculation> for pocketlm::Speculation {
    fn from(speculation: Speculation) -> Self {
        match speculation {
            Speculation::Auto => Self::Auto,
            Speculation::Off => Self::Off,
            Speculation::Lookup => Self::Lookup,
            Speculation::Draft { model } => Self::Draft(model.model.clone()),
        }
    }
}

impl From<SampleOptions> for pocketlm::SampleOptions {
    fn from(options: SampleOptions) -> Self {
        let default = Self::default();
        let size = |given: Option<u32>, default| given.map_or(default, |size| size as usize);
        Self {
            temperature: options.temperature.unwrap_or(default.temperature),
            top_k: size(options.top_k, default.top_k),
            top_p: options.top_p.unwrap_or(default.top_p),
            min_p: options.min_p.unwrap_or(default.min_p),
            typical_p: options.typical_p.unwrap_or(default.typical_p),
            repetition_penalty: options
                .repetition_penalty
                .unwrap_or(default.repetition_penalty),
            frequency_penalty: options
                .frequency_penalty
                .unwrap_or(default.frequency_penalty),
            presence_penalty: options.presence_penalty.unwrap_or(default.presence_penalty),
            penalty_window: size(options.penalty_window, default.penalty_window),
            logit_bias: options.logit_bias.into_iter().collect(),
            seed: options.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_is_the_default_of_the_library() {
        let load = LoadOptions {
            device: None,
            threads: None,
            context: None,
            kv: None,
        };
        assert_eq!(pocketlm::LoadOptions::from(load), Default::default());
        let generate = GenerateOptions {
            sample: SampleOptions::default(),
            max_tokens: None,
            stop: Vec::new(),
            speculation: None,
            format: None,
            reasoning_budget: None,
        };
        assert_eq!(
            pocketlm::GenerateOptions::try_from(generate),
            Ok(Default::default())
        );
    }

    #[test]
    fn every_sampling_option_arrives() {
        let given = SampleOptions {
            temperature: Some(0.1),
            top_k: Some(2),
            top_p: Some(0.3),
            min_p: Some(0.4),
            typical_p: Some(0.5),
            repetition_penalty: Some(1.6),
            frequency_penalty: Some(0.7),
            presence_penalty: Some(0.8),
            penalty_window: Some(9),
            logit_bias: HashMap::from([(10, f32::NEG_INFINITY)]),
            seed: Some(11),
        };
        let expected = pocketlm::SampleOptions {
            temperature: 0.1,
            top_k: 2,
            top_p: 0.3,
            min_p: 0.4,
            typical_p: 0.5,
            repetition_penalty: 1.6,
            frequency_penalty: 0.7,
            presence_penalty: 0.8,
            penalty_window: 9,
            logit_bias: vec![(10, f32::NEG_INFINITY)],
            seed: Some(11),
        };
        assert_eq!(pocketlm::SampleOptions::from(given), expected);
    }
}
