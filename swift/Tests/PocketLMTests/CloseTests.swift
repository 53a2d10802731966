import Foundation
import PocketLM
import Testing

/// What is closed says so, at any time.
@Suite(.serialized, .needsModel) struct CloseTests {
    private func model() async throws -> LocalModel {
        try await LocalModel.load(RealModel.file, options: RealModel.options)
    }

    @Test func aClosedModelSaysSo() async throws {
        let model = try await model()
        let session = try model.session()
        await model.close()
        #expect(model.isClosed)
        #expect(await pocketError { try model.session() } == .closed)
        #expect(await pocketError { try await session.respond(to: "Hi", options: short) } == .closed)
        #expect(await pocketError { try await session.transcript } == .closed)
        #expect(await pocketError { try await session.tokenCount(of: "Hi") } == .closed)
        // What it knew, it still knows.
        #expect(model.info.architecture == "qwen2")
        await model.close()
    }

    @Test func closingTheModelEndsAnswersInProgress() async throws {
        let model = try await model()
        let started = Recorder<Bool>()
        let tasks = (0..<3).map { _ in
            Task {
                let stream = try model.session().stream(
                    "Write a long story.", options: .greedy(maxTokens: 900))
                var last: Event?
                for try await event in stream {
                    started.add(true)
                    last = event
                }
                return last
            }
        }
        while started.values.count < 5 { try await Task.sleep(nanoseconds: 1_000_000) }
        await model.close()
        for task in tasks {
            switch await task.result {
            case .success(let last):
                guard case .done(.cancelled, _)? = last else {
                    Issue.record("\(String(describing: last))")
                    continue
                }
            case .failure(let error):
                #expect(error as? PocketError == .closed)
            }
        }
    }

    @Test func closingASessionLeavesTheOthers() async throws {
        let (first, second) = (try await RealModel.session(), try await RealModel.session())
        let iterator = first.stream("Write a long story.", options: .greedy(maxTokens: 900))
            .makeAsyncIterator()
        _ = try await iterator.next()
        await first.close()
        #expect(await pocketError { try await first.respond(to: "Hi", options: short) } == .closed)
        #expect(await pocketError { try await first.transcript } == .closed)
        let answer = try await second.respond(to: "Hi", options: short)
        #expect(!answer.text.isEmpty)
        await first.close()
    }

    @Test func sessionsKeepTheirModelAlive() async throws {
        let session = try await model().session()
        let answer = try await session.respond(to: "Hi", options: short)
        #expect(!answer.text.isEmpty)
        #expect(!session.model.isClosed)
    }
}
