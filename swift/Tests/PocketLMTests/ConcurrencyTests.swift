import Foundation
import PocketLM
import Testing

/// Many at once, and many in a row.
@Suite(.serialized, .needsModel) struct ConcurrencyTests {
    @Test func aHundredTasksGetTheSameAnswer() async throws {
        let model = try await LocalModel.load(
            RealModel.file, options: LoadOptions(device: .cpu, context: 64))
        let options = GenerateOptions.greedy(maxTokens: 2)
        let expected = try await model.session().respond(to: "Hi", options: options).text
        let answers = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    try await model.session().respond(to: "Hi", options: options).text
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers == Array(repeating: expected, count: 100))
        await model.close()
    }

    @Test func aHundredTasksOnOneSessionAreBusyOrServed() async throws {
        let session = try await RealModel.session()
        let options = GenerateOptions.greedy(maxTokens: 1)
        let outcomes = await withTaskGroup(of: PocketError?.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    await pocketError { try await session.respond(to: "Hi", options: options) }
                }
            }
            return await group.reduce(into: [PocketError?]()) { $0.append($1) }
        }
        let served = outcomes.filter { $0 == nil }.count
        #expect(served >= 1)
        #expect(outcomes.allSatisfy { $0 == nil || $0 == .busy })
        #expect(try await session.transcript.count == 2 * served)
    }

    @Test func tasksCancelledAtRandomLeaveTheOthersAlone() async throws {
        let expected = try await RealModel.session().respond(to: "Hi", options: short).text
        let model = try await RealModel.shared()
        let tasks = (0..<20).map { _ in
            Task { try await model.session().respond(to: "Hi", options: short).text }
        }
        for (index, task) in tasks.enumerated() where index % 2 == 0 {
            try await Task.sleep(nanoseconds: UInt64(index) * 3_000_000)
            task.cancel()
        }
        for (index, task) in tasks.enumerated() {
            do {
                let text = try await task.value
                #expect(text == expected)
            } catch is CancellationError {
                #expect(index % 2 == 0)
            }
        }
    }

    @Test func aMainActorAppCanIterate() async throws {
        let text = try await screen()
        #expect(!text.isEmpty)
    }

    @MainActor private func screen() async throws -> String {
        var text = ""
        for try await event in try await RealModel.session().stream("Hi", options: short) {
            MainActor.assertIsolated()
            if case .text(let delta) = event { text += delta }
        }
        return text
    }

    #if os(Linux)
        @Test func aThousandStreamsLeaveNothingBehind() async throws {
            let session = try await RealModel.session()
            let options = GenerateOptions.greedy(maxTokens: 100)
            func cycle(_ number: Int) async throws {
                let iterator = session.stream("Hi", options: options).makeAsyncIterator()
                // Some are left after the first event, most while they begin.
                if number % 50 == 0 {
                    _ = try await iterator.next()
                } else {
                    let task = Task { try await iterator.next() }
                    await Task.yield()
                    task.cancel()
                    _ = try? await task.value
                }
            }
            for number in 0..<50 { try await cycle(number) }
            let before = try await Footprint.settled(session)
            for number in 0..<1000 { try await cycle(number) }
            let after = try await Footprint.settled(session)
            #expect(after.threads <= before.threads)
            #expect(after.files <= before.files)
            // A leaked stream with its channel and buffers takes kilobytes.
            #expect(after.kilobytes < before.kilobytes + 4096, "\(before) → \(after)")
        }
    #endif
}

#if os(Linux)
    /// What this process holds.
    struct Footprint {
        let threads: Int
        let files: Int
        let kilobytes: Int

        /// Now, after what ends by itself has ended.
        static func settled(_ session: ModelSession) async throws -> Footprint {
            _ = try await session.tokenCount(of: "wait for abandoned answers")
            _ = try await session.transcript
            try await Task.sleep(nanoseconds: 300_000_000)
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            func number(_ name: String) -> Int {
                let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
                return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
            }
            let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
            return Footprint(
                threads: number("Threads:"), files: files.count, kilobytes: number("RssAnon:"))
        }
    }
#endif
