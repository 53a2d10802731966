internal import PocketLMInternal

/// One step of an answer.
public enum Event: Sendable, Hashable {
    /// More of the answer; always whole characters.
    case text(String)
    /// More of the model's thinking, which is not part of the answer.
    case reasoning(String)
    /// Something the app may want to know; the answer goes on.
    case notice(Notice)
    /// The end, always the last event of an answer that did not fail.
    case done(finish: FinishReason, usage: Usage)

    init(_ event: PocketLMInternal.Event) {
        switch event {
        case .text(let delta): self = .text(delta)
        case .reasoning(let delta): self = .reasoning(delta)
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
    /// The app cancelled; the turn is forgotten.
    case cancelled

    init(_ finish: PocketLMInternal.FinishReason) {
        switch finish {
        case .endOfTurn: self = .endOfTurn
        case .stopString: self = .stopString
        case .maxTokens: self = .maxTokens
        case .contextFull: self = .contextFull
        case .cancelled: self = .cancelled
        }
    }
}
