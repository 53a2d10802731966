import Foundation
import PocketLM
import Testing

/// Cancellation reaches the model within a token, and leaves no trace in the session.
@Suite(.serialized, .needsModel) struct CancelTests {
    private let endless = GenerateOptions.greedy(maxTokens: 900)
    private let story = "Write a very long story about a llama."

    @Test func leavingTheLoopStopsTheAnswer() async throws {
        let session = try await RealModel.session()
        var count = 0
        for try await _ in session.stream(story, options: endless) {
            count += 1
            if count == 3 { break }
        }
        // The next turn waits until the abandoned one has ended, and must not see `busy`.
        try await expectUntouched(session)
    }

    @Test func aCancelledTaskStopsTheAnswer() async throws {
        let session = try await RealModel.session()
        let started = Recorder<Bool>()
        let task = Task {
            for try await event in session.stream(story, options: endless) {
                if case .text = event { started.add(true) }
            }
        }
        while started.values.isEmpty { try await Task.sleep(nanoseconds: 1_000_000) }
        task.cancel()
        let start = Date()
        await #expect(throws: CancellationError.self) { try await task.value }
        // A token of this model takes some 30 ms here; the bound leaves room for a busy machine.
        #expect(Date().timeIntervalSince(start) < 2)
        try await expectUntouched(session)
    }

    @Test func aTaskCancelledBeforehandBeginsNothing() async throws {
        let session = try await RealModel.session()
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await session.respond(to: story, options: endless)
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await expectUntouched(session)
    }

    @Test func aCancelledPrefillStops() async throws {
        let session = try await RealModel.session()
        let prompt = String(repeating: "word ", count: 900)
        let task = Task { try await session.respond(to: prompt, options: endless) }
        try await Task.sleep(nanoseconds: 30_000_000)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await expectUntouched(session)
    }

    @Test func cancelByTheSessionEndsTheStream() async throws {
        let session = try await RealModel.session()
        var last: Event?
        for try await event in session.stream(story, options: endless) {
            if case .text = event { session.cancel() }
            last = event
        }
        guard case .done(.cancelled, _)? = last else {
            Issue.record("\(String(describing: last))")
            return
        }
        try await expectUntouched(session)
    }

    @Test func cancelWithoutAnAnswerDoesNothing() async throws {
        let session = try await RealModel.session()
        session.cancel()
        session.cancel()
        try await expectUntouched(session)
    }

    @Test func anAnswerCanBeCancelledInTheMiddleOfATurnAndTheSessionGoesOn() async throws {
        let session = try await RealModel.session()
        let reference = try await RealModel.session()
        _ = try await session.respond(to: "Hi", options: short)
        _ = try await reference.respond(to: "Hi", options: short)
        for try await event in session.stream(story, options: endless) {
            if case .text = event { break }
        }
        let after = try await session.respond(to: "Name a fruit.", options: short)
        let expected = try await reference.respond(to: "Name a fruit.", options: short)
        #expect(after.text == expected.text)
        #expect(after.usage?.promptTokens == expected.usage?.promptTokens)
    }

    @Test func aStreamThatIsNeverIteratedCostsNothing() async throws {
        let session = try await RealModel.session()
        for _ in 0..<100 { _ = session.stream(story, options: endless) }
        try await expectUntouched(session)
    }

    @Test func aSecondAnswerMeanwhileIsBusy() async throws {
        let session = try await RealModel.session()
        let first = session.stream(story, options: endless).makeAsyncIterator()
        _ = try await first.next()
        #expect(await pocketError { try await session.respond(to: "Hi", options: short) } == .busy)
        #expect(await pocketError { try await session.transcript } == .busy)
        session.cancel()
        while try await first.next() != nil {}
        try await expectUntouched(session)
    }

    /// The session answers as a new one does.
    private func expectUntouched(_ session: ModelSession) async throws {
        #expect(try await session.transcript.isEmpty)
        let answer = try await session.respond(to: "Name a fruit.", options: short)
        let fresh = try await RealModel.session().respond(to: "Name a fruit.", options: short)
        #expect(answer.text == fresh.text)
        #expect(answer.usage?.promptTokens == fresh.usage?.promptTokens)
    }
}
