/// A whole answer.
public struct Response: Sendable, Hashable {
    /// The answer.
    public internal(set) var text = ""
    /// The model's thinking before it, where it shows any.
    public internal(set) var reasoning = ""
    /// Why it ended.
    public internal(set) var finish = FinishReason.cancelled
    /// What it took; `nil` when it was stopped before it told.
    public internal(set) var usage: Usage?

    /// Takes note of the next event.
    mutating func add(_ event: Event) {
        switch event {
        case .text(let delta): text += delta
        case .reasoning(let delta): reasoning += delta
        case .toolCall, .toolResult, .notice: break
        case .done(let finish, let usage): (self.finish, self.usage) = (finish, usage)
        }
    }
}
