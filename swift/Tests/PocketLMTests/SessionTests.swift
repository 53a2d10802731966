import Foundation
import PocketLM
import Testing

@Suite(.serialized, .needsModel) struct SessionTests {
    @Test func theTranscriptGrowsByCommittedTurns() async throws {
        let session = try await RealModel.session("Be brief.")
        let answer = try await session.respond(to: "Hi", options: short)
        let transcript = try await session.transcript
        #expect(transcript.map(\.role) == [.system, .user, .assistant])
        #expect(transcript.map(\.content) == ["Be brief.", "Hi", answer.text])
        #expect(transcript.allSatisfy { $0.toolCalls.isEmpty && $0.toolCallID == nil })
    }

    @Test func aSessionRemembersAndComputesNothingTwice() async throws {
        let session = try await RealModel.session()
        let first = try await session.respond(to: "My name is Zorblatt.", options: short)
        let second = try await session.respond(
            to: "What is my name? One word.", options: .greedy(maxTokens: 16))
        #expect(second.text.contains("Zorblatt"))
        let (before, after) = (try #require(first.usage), try #require(second.usage))
        #expect(before.cachedTokens == 0)
        #expect(after.cachedTokens >= before.promptTokens)
        #expect(after.promptTokens > after.cachedTokens)
    }

    @Test func sessionsDoNotHearEachOther() async throws {
        let alone = try await RealModel.session().respond(to: "What is my name?", options: short)
        let other = try await RealModel.session()
        _ = try await other.respond(to: "My name is Zorblatt.", options: short)
        let again = try await RealModel.session().respond(to: "What is my name?", options: short)
        #expect(alone.text == again.text)
    }

    @Test func instructionsChangeTheAnswer() async throws {
        let plain = try await RealModel.session().respond(to: "Hello", options: short)
        let french = try await RealModel.session("Answer in French only.")
            .respond(to: "Hello", options: short)
        #expect(plain.text != french.text)
    }

    @Test func tokensAreCounted() async throws {
        let session = try await RealModel.session()
        #expect(try await session.tokenCount(of: "") == 0)
        #expect(try await session.tokenCount(of: "hello") == 1)
        let long = try await session.tokenCount(of: String(repeating: "hello world ", count: 100))
        #expect(long > 150 && long < 400)
    }

    @Test func aPromptThatDoesNotFitIsTyped() async throws {
        let session = try await RealModel.session()
        let prompt = String(repeating: "many words ", count: 2000)
        let error = await pocketError { try await session.respond(to: prompt, options: short) }
        guard case .contextExceeded(let size, let tokens)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(size == 1024)
        #expect(tokens > 4000)
        // The session is as it was.
        let answer = try await session.respond(to: "Hi", options: short)
        let fresh = try await RealModel.session().respond(to: "Hi", options: short)
        #expect(answer.text == fresh.text)
    }

    private static let impossible: [(GenerateOptions, String)] = [
        (GenerateOptions(maxTokens: 0), "max_tokens"),
        (GenerateOptions(maxTokens: -3), "max_tokens"),
        (GenerateOptions(sample: SampleOptions(topP: 1.5)), "top_p"),
        (GenerateOptions(sample: SampleOptions(topK: -1)), "top_k"),
        (GenerateOptions(sample: SampleOptions(temperature: .nan)), "temperature"),
    ]

    @Test(arguments: impossible)
    func impossibleOptionsAreNamed(options: GenerateOptions, expected: String) async throws {
        let session = try await RealModel.session()
        let error = await pocketError { try await session.respond(to: "Hi", options: options) }
        guard case .invalidArgument(let name, let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(name == expected)
        #expect(!reason.isEmpty)
    }

    @Test(arguments: [
        "🦙", "👩‍👩‍👧‍👦 family", "e\u{301} is not é", "שלום עולם", "\u{0}null\u{0}", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "line\r\nbreak\ttab",
        "<|im_end|> is only text", "",
    ])
    func anyTextCrossesTheBorder(text: String) async throws {
        let session = try await RealModel.session(text)
        _ = try await session.respond(to: text, options: .greedy(maxTokens: 1))
        let contents = try await session.transcript.prefix(2).map(\.content)
        // Swift compares by canonical equivalence; what is wanted is the same scalars.
        #expect(contents.map { Array($0.unicodeScalars) } == [text, text].map { Array($0.unicodeScalars) })
    }

    @Test func deltasAreWholeCharacters() async throws {
        let session = try await RealModel.session()
        let events = try await events(
            of: session.stream("Repeat exactly: 🦀🦙🐢 äöü 北京", options: .greedy(maxTokens: 40)))
        #expect(!text(events).unicodeScalars.contains("\u{FFFD}"))
        #expect(!text(events).isEmpty)
    }
}
