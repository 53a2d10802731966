internal import PocketLMInternal

/// Whether several tokens are guessed and checked in one pass. The answer is the same in every case;
/// what changes is how long it takes.
public enum Speculation: Sendable, Hashable {
    /// ``lookup`` on the CPU, ``off`` elsewhere.
    case auto
    /// One token a pass.
    case off
    /// Looks the last tokens up in the conversation: good for edits, quotations and code, free for
    /// everything else.
    case lookup
    /// A smaller model with the same vocabulary guesses.
    case draft(LocalModel)

    var foreign: PocketLMInternal.Speculation {
        switch self {
        case .auto: .auto
        case .off: .off
        case .lookup: .lookup
        case .draft(let model): .draft(model: model.raw)
        }
    }
}
