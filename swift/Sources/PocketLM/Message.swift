internal import PocketLMInternal

/// One message of a conversation.
public struct Message: Sendable, Hashable {
    /// Who speaks.
    public let role: Role
    /// What is said; may be empty beside tool calls.
    public let content: String
    /// The model's thinking before the content.
    public let reasoning: String?
    /// The calls that a message of the model asks for.
    public let toolCalls: [ToolCall]
    /// In a tool's message: the call that it answers.
    public let toolCallID: String?
    /// In a tool's message: the tool's name.
    public let toolName: String?

    /// Who speaks.
    public enum Role: Sendable, Hashable {
        /// Instructions to the model.
        case system
        /// The person, or the program acting for one.
        case user
        /// The model.
        case assistant
        /// The result of a tool call.
        case tool
        /// A role that only some chat templates know.
        case other(String)

        init(_ role: PocketLMInternal.Role) {
            switch role {
            case .system: self = .system
            case .user: self = .user
            case .assistant: self = .assistant
            case .tool: self = .tool
            case .other(let name): self = .other(name)
            }
        }
    }

    init(_ message: PocketLMInternal.Message) {
        role = Role(message.role)
        content = message.content
        reasoning = message.reasoning
        toolCalls = message.toolCalls.map(ToolCall.init)
        toolCallID = message.toolCallId
        toolName = message.name
    }
}

/// A call of a tool, as the model asked for it.
public struct ToolCall: Sendable, Hashable, Identifiable {
    /// Ties the result to the call.
    public let id: String
    /// The tool's name.
    public let name: String
    /// The arguments as JSON text: an object, unless the model wrote something else.
    public let arguments: String

    init(_ call: PocketLMInternal.ToolCall) {
        id = call.id
        name = call.name
        arguments = call.argumentsJson
    }
}
