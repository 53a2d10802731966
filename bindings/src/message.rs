//! The messages of a conversation, as the foreign languages see them.

/// Who speaks in a [`Message`].
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The person, or the program acting for one.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// A role that only some chat templates know.
    Other {
        /// How the template spells it.
        name: String,
    },
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; may be empty beside tool calls.
    pub content: String,
    /// The model's thinking before the content.
    pub reasoning: Option<String>,
    /// The calls an assistant message asks for.
    pub tool_calls: Vec<ToolCall>,
    /// In a tool message: the call it answers.
    pub tool_call_id: Option<String>,
    /// In a tool message: the tool's name.
    pub name: Option<String>,
}

/// A call of a tool, as the model asked for it.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct ToolCall {
    /// Ties the result to the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text: an object, unless the model wrote something else.
    pub arguments_json: String,
}

impl From<pocketlm::Message> for Message {
    fn from(message: pocketlm::Message) -> Self {
        Self {
            role: message.role.into(),
            content: message.content,
            reasoning: message.reasoning,
            tool_calls: message.tool_calls.into_iter().map(Into::into).collect(),
            tool_call_id: message.tool_call_id,
            name: message.name,
        }
    }
}

impl From<pocketlm::Role> for Role {
    fn from(role: pocketlm::Role) -> Self {
        use pocketlm::Role as Core;
        match role {
            Core::System => Self::System,
            Core::User => Self::User,
            Core::Assistant => Self::Assistant,
            Core::Tool => Self::Tool,
            other => Self::Other {
                name: other.name().to_owned(),
            },
        }
    }
}

impl From<pocketlm::chat::ToolCall> for ToolCall {
    fn from(call: pocketlm::chat::ToolCall) -> Self {
        Self {
            id: call.id,
            name: call.name,
            arguments_json: call.arguments.to_string(),
        }
    }
}
