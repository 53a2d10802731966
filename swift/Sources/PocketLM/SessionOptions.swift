internal import PocketLMInternal

/// How a conversation begins.
public struct SessionOptions: Sendable {
    /// The system message.
    public var instructions: String?
    /// What the model may call.
    public var tools: [ModelTool]
    /// How often in a turn the model may call tools; `nil` takes the library's default, 8.
    public var maxToolRounds: Int?
    /// What happens when the conversation outgrows the context window.
    public var overflow: Overflow

    /// What happens when a conversation outgrows the context window.
    public enum Overflow: Sendable, Hashable, CaseIterable {
        /// The turn is refused with ``PocketError/contextExceeded(size:tokens:)``, and nothing changes.
        case error
        /// The oldest turns are no longer sent to the model; ``Notice/turnsDropped(turns:)`` tells of it.
        case keepNewest
    }

    /// Options of a conversation.
    public init(
        instructions: String? = nil,
        tools: [ModelTool] = [],
        maxToolRounds: Int? = nil,
        overflow: Overflow = .error
    ) {
        self.instructions = instructions
        self.tools = tools
        self.maxToolRounds = maxToolRounds
        self.overflow = overflow
    }

    var foreign: PocketLMInternal.SessionOptions {
        get throws {
            PocketLMInternal.SessionOptions(
                instructions: instructions,
                tools: tools.map(\.foreign),
                maxToolRounds: try maxToolRounds.map { try count($0, "max_tool_rounds") },
                overflow: overflow == .keepNewest ? .keepNewest : .error)
        }
    }
}
