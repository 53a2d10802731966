import Foundation
import PocketLM
import Testing

/// Answers that the model is held to.
@Suite(.serialized, .needsModel) struct FormatTests {
    private enum Mood: String, Decodable, CaseIterable { case happy, sad }

    private struct Guess: StructuredOutput {
        let mood: Mood
        let sure: Bool
        let reasons: [String]

        static var schema: Schema {
            .object([
                .init("mood", .choice(["happy", "sad"])),
                .init("sure", .boolean()),
                .init("reasons", .array(of: .choice(["luck", "money", "bad news"]), minItems: 1, maxItems: 2)),
            ])
        }
    }

    private struct Person: StructuredOutput {
        let name: String
        let age: Int
    }

    @Test func anAnswerIsAValueOfAType() async throws {
        let answer = try await RealModel.session().respond(
            to: "I won the lottery! How do I feel?", as: Guess.self, options: .greedy(maxTokens: 200))
        #expect(answer.value.mood == .happy)
        #expect((1...2).contains(answer.value.reasons.count))
        #expect(answer.response.finish == .endOfTurn)
    }

    @Test func aSchemaFoundByItselfHoldsToo() async throws {
        let person: StructuredResponse<Person> = try await RealModel.session().respond(
            to: "Anna is 31 years old. Who is it, and how old?", options: .greedy(maxTokens: 60))
        #expect(person.value.name.contains("Anna"))
        #expect(person.value.age == 31)
    }

    @Test func anAnswerThatWasCutOffSaysSo() async throws {
        do {
            _ = try await RealModel.session().respond(
                to: "How do I feel?", as: Guess.self, options: .greedy(maxTokens: 3))
            Issue.record("three tokens were enough")
        } catch let error as StructuredOutputError {
            #expect(error.response.finish == .maxTokens)
            #expect(!error.response.text.isEmpty && !error.reason.isEmpty)
            #expect(error.localizedDescription.contains("maxTokens"))
        }
    }

    @Test func aRegularExpressionAGrammarAndPlainJSON() async throws {
        func answer(_ prompt: String, _ format: OutputFormat) async throws -> String {
            var options = GenerateOptions.greedy(maxTokens: 60)
            options.format = format
            return try await RealModel.session().respond(to: prompt, options: options).text
        }
        let date = try await answer("When did the second world war end?", .regex("[0-9]{4}-[0-9]{2}-[0-9]{2}"))
        #expect(date.count == 10 && date.filter(\.isNumber).count == 8)
        let word = try await answer("Is water wet?", .grammar(#"start: "yes" | "no""#))
        #expect(["yes", "no"].contains(word))
        let json = try await answer("Give the name Bob as JSON.", .json)
        #expect(try JSONSerialization.jsonObject(with: Data(json.utf8)) is [String: Any])
    }

    @Test(arguments: [
        OutputFormat.regex("("), .grammar("start: missing"), .schema(.json("{")), .schema(.json(#"{"type":"cat"}"#)),
    ])
    func whatCannotBeEnforcedIsRefused(format: OutputFormat) async throws {
        let session = try await RealModel.session()
        let options = GenerateOptions(maxTokens: 5, format: format)
        let error = await pocketError { try await session.respond(to: "Hi", options: options) }
        switch error {
        case .invalidArgument, .schemaUnsupported: break
        default: Issue.record("\(String(describing: error))")
        }
        #expect(try await session.transcript.isEmpty)
    }
}
