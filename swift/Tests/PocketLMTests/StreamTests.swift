import Foundation
import PocketLM
import Testing

@Suite(.serialized, .needsModel) struct StreamTests {
    @Test func eventsComeInOrderAndEndWithDone() async throws {
        let session = try await RealModel.session()
        let events = try await events(of: session.stream("Count to fifty.", options: short))
        guard case .done(let finish, let usage)? = events.last else {
            Issue.record("\(events)")
            return
        }
        #expect(finish == .maxTokens)
        #expect(usage.generatedTokens == 12)
        #expect(usage.promptTokens > 0)
        #expect(usage.timeToFirstToken > 0)
        #expect(usage.decodeTime > 0)
        #expect(usage.decodeTokensPerSecond > 0)
        #expect(usage.prefillTokensPerSecond > 0)
        let others = events.dropLast()
        #expect(others.count > 1)
        for event in others {
            guard case .text(let delta) = event else {
                Issue.record("\(event)")
                continue
            }
            #expect(!delta.isEmpty)
        }
    }

    @Test func theWholeAnswerIsTheStreamsText() async throws {
        let streamed = try await events(of: RealModel.session().stream("Say hello.", options: short))
        let whole = try await RealModel.session().respond(to: "Say hello.", options: short)
        #expect(text(streamed) == whole.text)
        #expect(whole.usage?.generatedTokens == 12 || whole.finish == .endOfTurn)
    }

    @Test func greedyAnswersRepeat() async throws {
        let first = try await RealModel.session().respond(to: "Name a colour.", options: short)
        let second = try await RealModel.session().respond(to: "Name a colour.", options: short)
        #expect(first.text == second.text)
    }

    @Test func aSeedRepeats() async throws {
        let options = GenerateOptions(
            sample: SampleOptions(temperature: 1.2, seed: 7), maxTokens: 12)
        let first = try await RealModel.session().respond(to: "Invent a word.", options: options)
        let second = try await RealModel.session().respond(to: "Invent a word.", options: options)
        #expect(first.text == second.text)
    }

    @Test func eachIterationIsATurn() async throws {
        let session = try await RealModel.session()
        let stream = session.stream("Hi", options: short)
        #expect(try await session.transcript.isEmpty)
        _ = try await events(of: stream)
        _ = try await events(of: stream)
        #expect(try await session.transcript.map(\.role) == [.user, .assistant, .user, .assistant])
    }

    @Test func afterTheEndThereIsNothing() async throws {
        let iterator = try await RealModel.session().stream("Hi", options: short).makeAsyncIterator()
        while try await iterator.next() != nil {}
        #expect(try await iterator.next() == nil)
        #expect(try await iterator.next() == nil)
    }

    @Test func aStopTextEndsTheAnswer() async throws {
        let options = GenerateOptions(sample: .greedy, maxTokens: 40, stop: ["3"])
        let answer = try await RealModel.session().respond(
            to: "Count: 1, 2, 3, 4, 5. Repeat this exactly.", options: options)
        #expect(answer.finish == .stopString)
        #expect(!answer.text.contains("3"))
    }

    @Test func theModelsOwnEndIsTold() async throws {
        let answer = try await RealModel.session("Answer with the single word yes.")
            .respond(to: "Is water wet?", options: .greedy(maxTokens: 60))
        #expect(answer.finish == .endOfTurn)
    }

    @Test func aFullContextIsTold() async throws {
        let model = try await LocalModel.load(
            RealModel.file, options: LoadOptions(device: .cpu, context: 64))
        let answer = try await model.session().respond(to: "Count to 1000.", options: .greedy())
        #expect(answer.finish == .contextFull || answer.finish == .endOfTurn)
        #expect((answer.usage?.promptTokens ?? 0) + (answer.usage?.generatedTokens ?? 0) <= 65)
        await model.close()
    }

    @Test func guessingAheadDoesNotChangeTheAnswer() async throws {
        let prompt = "Repeat this twice: the quick brown fox jumps over the lazy dog"
        var options = GenerateOptions.greedy(maxTokens: 30)
        options.speculation = .off
        let plain = try await RealModel.session().respond(to: prompt, options: options)
        #expect(plain.usage?.draftedTokens == 0)
        options.speculation = .lookup
        let guessed = try await RealModel.session().respond(to: prompt, options: options)
        #expect(guessed.text == plain.text)
        let usage = try #require(guessed.usage)
        #expect(usage.acceptedTokens > 0)
        #expect(usage.acceptedTokens <= usage.draftedTokens)
    }

    @Test func aModelCanGuessForAnother() async throws {
        var options = short
        let plain = try await RealModel.session().respond(to: "Say hello.", options: options)
        options.speculation = .draft(try await RealModel.shared())
        let drafted = try await RealModel.session().respond(to: "Say hello.", options: options)
        #expect(drafted.text == plain.text)
        #expect((drafted.usage?.acceptedTokens ?? 0) > 0)
    }

    @Test func theBorderCostsLittle() async throws {
        var first: Date?
        var usage: Usage?
        let stream = try await RealModel.session().stream(
            "Write a long story about a llama.", options: .greedy(maxTokens: 100))
        for try await event in stream {
            if first == nil { first = Date() }
            if case .done(_, let taken) = event { usage = taken }
        }
        let here = Date().timeIntervalSince(try #require(first))
        let rust = try #require(usage).decodeTime
        // At least 97 % of Rust's speed; a twentieth of a second is left to the scheduler.
        #expect(here < rust / 0.97 + 0.05, "\(here) s here, \(rust) s in Rust")
    }

    @Test func aForbiddenTokenIsNotSaid() async throws {
        let plain = try await RealModel.session().respond(to: "Say hello.", options: short)
        var options = short
        // Without the first half of the vocabulary the answer is another one.
        options.sample.logitBias = Dictionary(
            uniqueKeysWithValues: (0..<20_000).map { (UInt32($0), -Float.infinity) })
        let biased = try await RealModel.session().respond(to: "Say hello.", options: options)
        #expect(biased.text != plain.text)
    }
}

/// The text of an answer's events.
func text(_ events: [Event]) -> String {
    events.reduce(into: "") { text, event in
        if case .text(let delta) = event { text += delta }
    }
}
