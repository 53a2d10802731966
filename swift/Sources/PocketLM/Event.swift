internal import PocketLMInternal

/// One step of an answer.
public enum Event: Sendable, Hashable {
    /// More of the answer; always whole characters.
    case text(String)
    /// More of the model's thinking, which is not part of the answer.
    case reasoning(String)
    /// The model calls a tool: for the person who watches. The session runs it by itself.
    case toolCall(ToolCall)
    /// What the call gave, as the model reads it: the tool's text, or `{"error": reason}`.
    case toolResult(ToolCall, content: String)
    /// Something the app may want to know; the answer goes on.
    case notice(Notice)
    /// The end, always the last event of an answer that did not fail.
    case done(finish: FinishReason, usage: Usage)

    /// `nil` for what is no event to the app: a tool is to be run.
    init?(_ event: PocketLMInternal.Event) {
        switch event {
        case .text(let delta): self = .text(delta)
        case .reasoning(let delta): self = .reasoning(delta)
        case .toolCall(let call): self = .toolCall(ToolCall(call))
        case .toolNeeded: return nil
        case .toolResult(let call, let content):
            self = .toolResult(ToolCall(call), content: content)
        case .notice(let notice): self = .notice(Notice(notice))
        case .done(let finish, let usage):
            self = .done(finish: FinishReason(finish), usage: Usage(usage))
        }
    }
}

/// Why an answer ended.
public enum FinishReason: Sendable, Hashable, CaseIterable {
    /// The model ended its turn.
    case endOfTurn
    /// A stop text appeared.
    case stopString
    /// The limit of tokens was reached; the answer may be incomplete.
    case maxTokens
    /// The context window is full; the answer may be incomplete.
    case contextFull
    /// The model wanted one more round of tool calls than a turn may have.
    case toolLimit
    /// The app cancelled; the turn is forgotten.
    case cancelled

    init(_ finish: PocketLMInternal.FinishReason) {
        switch finish {
        case .endOfTurn: self = .endOfTurn
        case .stopString: self = .stopString
        case .maxTokens: self = .maxTokens
        case .contextFull: self = .contextFull
        case .toolLimit: self = .toolLimit
        case .cancelled: self = .cancelled
        }
    }
}
