import Foundation
internal import PocketLMInternal

/// What an answer took.
public struct Usage: Sendable, Hashable {
    /// Tokens of the whole prompt, those of earlier turns included.
    public var promptTokens: Int
    /// Tokens of the prompt that the session remembered and did not compute again.
    public var cachedTokens: Int
    /// Tokens generated, the end-of-turn token included.
    public var generatedTokens: Int
    /// Seconds from the call to the first generated token.
    public var timeToFirstToken: TimeInterval
    /// Seconds from the first generated token to the last.
    public var decodeTime: TimeInterval
    /// Prompt tokens computed per second until the first generated token.
    public var prefillTokensPerSecond: Double
    /// Generated tokens per second after the first.
    public var decodeTokensPerSecond: Double
    /// Tokens guessed ahead and checked: see ``Speculation``.
    public var draftedTokens: Int
    /// Of those, how many came true.
    public var acceptedTokens: Int

    init(_ usage: PocketLMInternal.Usage) {
        promptTokens = Int(clamping: usage.promptTokens)
        cachedTokens = Int(clamping: usage.cachedTokens)
        generatedTokens = Int(clamping: usage.generatedTokens)
        timeToFirstToken = usage.firstTokenSeconds
        decodeTime = usage.decodeSeconds
        prefillTokensPerSecond = usage.prefillTokensPerSecond
        decodeTokensPerSecond = usage.decodeTokensPerSecond
        draftedTokens = Int(clamping: usage.draftedTokens)
        acceptedTokens = Int(clamping: usage.acceptedTokens)
    }
}
