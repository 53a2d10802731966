internal import PocketLMInternal

/// The events of one answer, in order, as the model makes them; ends after
/// ``Event/done(finish:usage:)``, or throws what went wrong.
///
/// Each iteration is a turn of its own: it begins with the first event asked for.
public struct ResponseStream: AsyncSequence, Sendable {
    /// What is iterated.
    public typealias Element = Event

    let session: ModelSession
    let prompt: String
    let options: GenerateOptions

    /// An iterator, which stops the answer when it is let go.
    public func makeAsyncIterator() -> Iterator {
        Iterator(pump: Pump(session: session, prompt: prompt, options: options))
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

/// Pulls the events of one answer over the border, in batches, and hands them out one by one.
actor Pump {
    private enum State {
        case idle
        case running(PocketLMInternal.ResponseStream)
        case ended
    }

    private let session: ModelSession
    private let prompt: String
    private let options: GenerateOptions
    private var state = State.idle
    /// Events that have arrived, the next one last.
    private var waiting: [Event] = []

    init(session: ModelSession, prompt: String, options: GenerateOptions) {
        self.session = session
        self.prompt = prompt
        self.options = options
    }

    deinit {
        // The loop was left: the answer stops, and the session's next turn waits for that.
        if case .running(let stream) = state {
            stream.cancel()
            session.turns.abandon(stream)
        }
    }

    func next() async throws -> Event? {
        do {
            try Task.checkCancellation()
            if let event = waiting.popLast() {
                return event
            }
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
            waiting = batch.reversed().map(Event.init)
            guard let event = waiting.popLast() else {
                state = .ended
                return nil
            }
            return event
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
            await session.turns.settle()
            try Task.checkCancellation()
            let stream = try translated {
                try session.raw.stream(prompt: prompt, options: try options.foreign)
            }
            state = .running(stream)
            return stream
        }
    }

    /// Stops the answer and waits until the session is free.
    private func end() async {
        waiting = []
        if case .running(let stream) = state {
            stream.cancel()
            await stream.join()
        }
        state = .ended
    }
}
