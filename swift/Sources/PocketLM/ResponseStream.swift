import Foundation
internal import PocketLMInternal

/// The events of one answer, in order, as the model makes them; ends after
/// ``Event/done(finish:usage:)``, or throws what went wrong.
///
/// Each iteration is a turn of its own: it begins with the first event asked for.
public struct ResponseStream: AsyncSequence, Sendable {
    /// What is iterated.
    public typealias Element = Event

    /// Begins an answer.
    typealias Begin = @Sendable () async throws -> PocketLMInternal.ResponseStream

    let tools: [ModelTool]
    let turns: Turns
    let begin: Begin

    /// An iterator, which stops the answer when it is let go.
    public func makeAsyncIterator() -> Iterator {
        Iterator(pump: Pump(tools: tools, turns: turns, begin: begin))
    }

    /// Takes the events of one answer.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let pump: Pump

        /// The next event; `nil` after the last one.
        ///
        /// - Throws: ``PocketError``, or `CancellationError` when the task was cancelled; the session
        ///   is free for the next answer then.
        public func next() async throws -> Event? {
            try await pump.next()
        }
    }
}

/// Pulls the events of one answer over the border, in batches, hands them out one by one, and runs the
/// tools that the answer waits for.
actor Pump {
    private enum State {
        case idle
        case running(PocketLMInternal.ResponseStream)
        case ended
    }

    private let tools: [ModelTool]
    private let turns: Turns
    private let begin: ResponseStream.Begin
    private var state = State.idle
    /// Events that have arrived, the next one last.
    private var waiting: [Event] = []
    /// Tools that run, or have run.
    private var calls: [Task<Void, Never>] = []

    init(tools: [ModelTool], turns: Turns, begin: @escaping ResponseStream.Begin) {
        self.tools = tools
        self.turns = turns
        self.begin = begin
    }

    deinit {
        // The loop was left: the answer stops, and the session's next turn waits for that.
        for call in calls { call.cancel() }
        if case .running(let stream) = state {
            stream.cancel()
            turns.abandon(stream)
        }
    }

    func next() async throws -> Event? {
        do {
            try Task.checkCancellation()
            while waiting.isEmpty {
                guard let stream = try await running() else {
                    return nil
                }
                let batch = try await awaited {
                    try await withTaskCancellationHandler {
                        try await stream.nextBatch()
                    } onCancel: {
                        stream.cancel()
                    }
                }
                try Task.checkCancellation()
                if batch.isEmpty {
                    state = .ended
                    // Those of an answer that the session stopped.
                    for call in calls { call.cancel() }
                    return nil
                }
                for case .toolNeeded(let call) in batch {
                    calls.append(Self.run(ToolCall(call), of: tools, for: stream))
                }
                waiting = batch.reversed().compactMap(Event.init)
            }
            return waiting.popLast()
        } catch {
            await end()
            // A task that was cancelled sees that, whatever the library made of it.
            throw Task.isCancelled ? CancellationError() : error
        }
    }

    /// The answer, begun now if it is not; `nil` when it has ended.
    private func running() async throws -> PocketLMInternal.ResponseStream? {
        switch state {
        case .running(let stream):
            return stream
        case .ended:
            return nil
        case .idle:
            await turns.settle()
            try Task.checkCancellation()
            let stream = try await awaited(begin)
            state = .running(stream)
            return stream
        }
    }

    /// Stops the answer, and waits until its tools have ended and the session is free.
    private func end() async {
        waiting = []
        for call in calls { call.cancel() }
        if case .running(let stream) = state {
            stream.cancel()
            await stream.join()
        }
        for call in calls { await call.value }
        (state, calls) = (.ended, [])
    }

    /// Runs a tool of the app, and tells the model what came of it.
    private static func run(
        _ call: ToolCall, of tools: [ModelTool], for stream: PocketLMInternal.ResponseStream
    ) -> Task<Void, Never> {
        Task {
            do {
                guard let tool = tools.first(where: { $0.name == call.name }) else {
                    throw PocketError.toolFailed(name: call.name, reason: "there is no such tool")
                }
                let content = try await tool.run(call.arguments)
                stream.answerTool(callId: call.id, content: content, isError: false)
            } catch {
                // Of an error without a text of its own Foundation knows no more than its number.
                let reason = (error as? any LocalizedError)?.errorDescription ?? "\(error)"
                stream.answerTool(callId: call.id, content: reason, isError: true)
            }
        }
    }
}
