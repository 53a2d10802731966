import Foundation
internal import PocketLMInternal

/// A conversation: what was said, and the model's memory of it. Cheap; one for each conversation.
///
/// Turns are transactional: one that fails or is cancelled leaves no trace, and the next answer is the
/// same as if it had never been. One answer is made at a time: a second one asked for meanwhile
/// throws ``PocketError/busy``.
public final class ModelSession: Sendable {
    /// The model that answers.
    public let model: LocalModel

    let raw: PocketLMInternal.ModelSession
    let turns = Turns()
    private let tools: [ModelTool]

    init(_ raw: PocketLMInternal.ModelSession, model: LocalModel, tools: [ModelTool]) {
        self.raw = raw
        self.model = model
        self.tools = tools
    }

    /// Answers a message, and returns the whole answer.
    ///
    /// Cancelling the task stops the model within one token; the turn is forgotten.
    ///
    /// - Throws: What ``stream(_:options:)`` throws.
    public func respond(
        to prompt: String, options: GenerateOptions = GenerateOptions()
    ) async throws -> Response {
        var response = Response()
        for try await event in stream(prompt, options: options) {
            response.add(event)
        }
        return response
    }

    /// Answers a message, event by event, as the model makes them.
    ///
    /// ```swift
    /// for try await event in session.stream("Hi") {
    ///     if case .text(let delta) = event { print(delta, terminator: "") }
    /// }
    /// ```
    ///
    /// The answer begins when the iteration does; each iteration is a turn of its own. Leaving the
    /// loop early, or cancelling the task, stops the model within one token, and the turn is
    /// forgotten.
    ///
    /// - Returns: The events; iterating throws ``PocketError/busy`` while another answer is made,
    ///   ``PocketError/contextExceeded(size:tokens:)``,
    ///   ``PocketError/invalidArgument(name:reason:)`` for the options, ``PocketError/closed``, what
    ///   goes wrong in the answer, and `CancellationError`.
    public func stream(
        _ prompt: String, options: GenerateOptions = GenerateOptions()
    ) -> ResponseStream {
        ResponseStream(tools: tools, turns: turns) { [raw] in
            try raw.stream(prompt: prompt, options: try options.foreign)
        }
    }

    /// Writes what belongs between two texts, for suggestions as somebody types. A completion that is
    /// still in progress is cancelled first. The conversation takes no part in it, and may go on
    /// meanwhile.
    ///
    /// - Returns: The events; iterating throws ``PocketError/unsupportedModel(what:)`` for a model that
    ///   was not made for that, and what ``stream(_:options:)`` throws.
    public func complete(
        between prefix: String, and suffix: String, options: GenerateOptions = GenerateOptions()
    ) -> ResponseStream {
        ResponseStream(tools: [], turns: Turns()) { [raw] in
            try await raw.complete(prefix: prefix, suffix: suffix, options: try options.foreign)
        }
    }

    /// Stops the answer in progress, if there is one, within one token: its last event is
    /// ``Event/done(finish:usage:)`` with ``FinishReason/cancelled``, and its turn is forgotten.
    public func cancel() {
        raw.cancel()
    }

    /// What was said so far, the instructions first.
    ///
    /// - Throws: ``PocketError/busy`` while an answer is made, ``PocketError/closed``.
    public var transcript: [Message] {
        get async throws {
            await turns.settle()
            return try translated { try raw.transcript().map(Message.init) }
        }
    }

    /// How many tokens a text is for this session's model.
    ///
    /// - Throws: ``PocketError/closed``.
    public func tokenCount(of text: String) async throws -> Int {
        try await awaited { Int(clamping: try await raw.tokenCount(text: text)) }
    }

    /// How many tokens of the context window the conversation takes so far.
    ///
    /// - Throws: ``PocketError/busy`` while an answer is made, ``PocketError/closed``.
    public func transcriptTokens() async throws -> Int {
        await turns.settle()
        return try await awaited { Int(clamping: try await raw.transcriptTokens()) }
    }

    /// A conversation that begins as this one is now; what both have said is computed once.
    ///
    /// - Throws: ``PocketError/busy`` while an answer is made,
    ///   ``PocketError/insufficientMemory(needed:available:)``, ``PocketError/closed``.
    public func fork() async throws -> ModelSession {
        await turns.settle()
        let fork = try await awaited { try await raw.fork() }
        return ModelSession(fork, model: model, tools: tools)
    }

    /// Forgets the newest turns, so that this many remain.
    ///
    /// - Throws: ``PocketError/invalidArgument(name:reason:)`` when there are not that many,
    ///   ``PocketError/busy`` while an answer is made, ``PocketError/closed``.
    public func rewind(to turnsToKeep: Int) async throws {
        await turns.settle()
        try translated { try raw.rewind(turnsToKeep: try count(turnsToKeep, "turns_to_keep")) }
    }

    /// Saves the conversation to a file, which is replaced in one step.
    ///
    /// - Parameters:
    ///   - file: Where to; ``LocalModel/restore(from:key:options:)`` reads it.
    ///   - key: 32 bytes to encrypt it with, such as from the keychain.
    /// - Throws: ``PocketError/sessionFile(_:detail:)`` when the file cannot be written,
    ///   ``PocketError/invalidArgument(name:reason:)`` for the key, ``PocketError/busy`` while an answer
    ///   is made, ``PocketError/closed``.
    public func save(to file: URL, key: Data? = nil) async throws {
        let path = try LocalModel.path(of: file)
        await turns.settle()
        try await awaited { try await raw.save(path: path, key: key) }
    }

    /// Closes the session for good: the answer in progress is stopped and waited for. What is called
    /// afterwards throws ``PocketError/closed``.
    public func close() async {
        raw.shutDown()
        await raw.join()
    }
}
