import Foundation
import PocketLM
import Testing

/// Sessions that are forked, rewound, saved; and what a model will need.
@Suite(.serialized, .needsModel) struct SavedSessionTests {
    private func withPlace<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()) 🦙.session")
        defer { try? FileManager.default.removeItem(at: file) }
        return try await body(file)
    }

    private func fault(_ call: () async throws -> ModelSession) async -> SessionFault? {
        guard case .sessionFile(let fault, _)? = await pocketError(call) else { return nil }
        return fault
    }

    @Test func aSavedSessionGoesOn() async throws {
        try await withPlace { file in
            let session = try await RealModel.session("Be brief.")
            _ = try await session.respond(to: "My name is Zorblatt.", options: short)
            try await session.save(to: file)
            let restored = try await RealModel.shared().restore(from: file)
            #expect(try await restored.transcript == session.transcript)
            let expected = try await session.respond(to: "What is my name?", options: short)
            let answer = try await restored.respond(to: "What is my name?", options: short)
            #expect(answer.text == expected.text)
            #expect(answer.usage?.cachedTokens == expected.usage?.cachedTokens)
        }
    }

    @Test func aKeyIsNeededAndMustFit() async throws {
        try await withPlace { file in
            let model = try await RealModel.shared()
            let session = try await RealModel.session("A secret.")
            let key = Data(repeating: 7, count: 32)
            try await session.save(to: file, key: key)
            #expect(try !Data(contentsOf: file).contains(Data("secret".utf8)))
            #expect(await fault { try await model.restore(from: file) } == .keyMissing)
            let other = Data(repeating: 8, count: 32)
            #expect(await fault { try await model.restore(from: file, key: other) } == .wrongKey)
            let restored = try await model.restore(from: file, key: key)
            #expect(try await restored.transcript.map(\.content) == ["A secret."])
            let error = await pocketError { try await session.save(to: file, key: Data([1, 2])) }
            guard case .invalidArgument? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func whatIsWrongWithAFileIsTold() async throws {
        try await withPlace { file in
            let model = try await RealModel.shared()
            #expect(await fault { try await model.restore(from: file) } == .unreadable)
            try Data("something else".utf8).write(to: file)
            #expect(await fault { try await model.restore(from: file) } == .notASession)
            let nowhere = file.appendingPathComponent("a/b")
            let session = try await RealModel.session()
            guard case .sessionFile(.unwritable, let detail)? =
                await pocketError({ try await session.save(to: nowhere) })
            else {
                Issue.record("no such fault")
                return
            }
            #expect(!detail.isEmpty)
        }
    }

    @Test func aForkGoesItsOwnWay() async throws {
        let session = try await RealModel.session()
        _ = try await session.respond(to: "My name is Zorblatt.", options: short)
        let before = try await session.transcript
        let fork = try await session.fork()
        let answer = try await fork.respond(to: "What is my name?", options: short)
        #expect((answer.usage?.cachedTokens ?? 0) > 0)
        #expect(try await session.transcript == before)
        #expect(try await fork.transcript.count == before.count + 2)
    }

    @Test func turnsAreForgotten() async throws {
        let session = try await RealModel.session("Be brief.")
        _ = try await session.respond(to: "One", options: short)
        let tokens = try await session.transcriptTokens()
        _ = try await session.respond(to: "Two", options: short)
        #expect(try await session.transcriptTokens() > tokens)
        try await session.rewind(to: 1)
        #expect(try await session.transcript.map(\.content).contains("One"))
        #expect(try await session.transcript.count == 3)
        #expect(try await session.transcriptTokens() == tokens)
        for turns in [5, -1] {
            let error = await pocketError { try await session.rewind(to: turns) }
            guard case .invalidArgument? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
    }

    @Test func oldTurnsMakeRoom() async throws {
        let model = try await LocalModel.load(
            RealModel.file, options: LoadOptions(device: .cpu, context: 160))
        let session = try model.session(options: SessionOptions(overflow: .keepNewest))
        var dropped = 0
        for number in 1...6 {
            for try await event in session.stream("Tell me about the number \(number).", options: short) {
                if case .notice(.turnsDropped(let turns)) = event { dropped += turns }
            }
        }
        #expect(dropped > 0)
        #expect(try await session.transcript.count == 12)
        await model.close()
    }

    @Test func codeIsCompleted() async throws {
        let session = try await RealModel.session()
        let events = try await events(
            of: session.complete(
                between: "def add(a, b):\n    return ", and: "\n", options: .greedy(maxTokens: 10)))
        #expect(text(events).contains("a + b"))
        #expect(try await session.transcript.isEmpty)
    }

    @Test func aPlanNeedsTheHeaderOnly() async throws {
        let plan = try await LocalModel.plan(RealModel.file, options: RealModel.options)
        #expect(!plan.usesGPU)
        #expect(plan.cache == .f16)
        #expect(plan.context == 1024)
        #expect(plan.mappedWeights > 300_000_000)
        #expect(plan.privateWeights < plan.mappedWeights)
        // 24 layers, 2 heads of 64, keys and values, two bytes each.
        #expect(plan.sessionCache >= UInt64(24 * 2 * 64 * 2 * 2 * 1024))
        #expect(plan.fit == .inMemory || plan.fit == .fromStorage)
        let missing = URL(fileURLWithPath: "/no/such/model.gguf")
        guard case .modelNotFound? = await pocketError({ try await LocalModel.plan(missing) }) else {
            Issue.record("no such error")
            return
        }
    }

    @Test func aWarmModelAnswersAsBefore() async throws {
        let model = try await LocalModel.load(RealModel.file, options: RealModel.options)
        try await model.prewarm()
        let answer = try await model.session().respond(to: "Hi", options: short)
        let expected = try await RealModel.session().respond(to: "Hi", options: short)
        #expect(answer.text == expected.text)
        await model.close()
        #expect(await pocketError { try await model.prewarm() } == .closed)
    }
}
