import Foundation
import PocketLM
import Testing

/// The same answers as the command line program gives, which is Rust from end to end.
@Suite(
    .serialized, .needsModel,
    .enabled(if: Program.path != nil, "POCKETLM_PROGRAM does not name the command line program"))
struct AgreementTests {
    @Test(arguments: [
        "Write a haiku about rain.",
        "def fibonacci(n):",
        "Erkläre „Übermut“ in einem Satz – mit Umlauten: äöüß.",
        "用一句话介绍北京。",
        "Reply with three emoji: 🦀🦙👩‍👩‍👧‍👦",
    ])
    func streamedTextIsThePrograms(prompt: String) async throws {
        let expected = try Program.answer(to: prompt, ["--greedy", "-n", "24"])
        let events = try await events(
            of: RealModel.session().stream(prompt, options: .greedy(maxTokens: 24)))
        try expect(events, toBe: expected)
    }

    @Test(arguments: 1...6) func everyPrefixIsThePrograms(tokens: Int) async throws {
        let prompt = "List three fruits."
        let expected = try Program.answer(to: prompt, ["--greedy", "-n", "\(tokens)"])
        let events = try await events(
            of: RealModel.session().stream(prompt, options: .greedy(maxTokens: tokens)))
        try expect(events, toBe: expected)
    }

    @Test func drawnTokensAreThePrograms() async throws {
        let prompt = "Tell me something odd."
        let expected = try Program.answer(
            to: prompt, ["--temperature", "0.9", "--seed", "42", "-n", "24"])
        let options = GenerateOptions(
            sample: SampleOptions(temperature: 0.9, seed: 42), maxTokens: 24)
        let events = try await events(of: RealModel.session().stream(prompt, options: options))
        try expect(events, toBe: expected)
    }

    private func expect(_ events: [Event], toBe expected: Program.Answer) throws {
        #expect(text(events) == expected.text)
        guard case .done(_, let usage)? = events.last else {
            Issue.record("\(events)")
            return
        }
        #expect(usage.generatedTokens == expected.usage.generated_tokens)
        #expect(usage.promptTokens == expected.usage.prompt_tokens)
    }
}

/// The command line program.
enum Program {
    static let path = ProcessInfo.processInfo.environment["POCKETLM_PROGRAM"]

    struct Answer: Decodable {
        struct Usage: Decodable {
            let prompt_tokens: Int
            let generated_tokens: Int
            let decode_tokens_per_s: Double
        }
        let text: String
        let usage: Usage
    }

    static func answer(to prompt: String, _ arguments: [String]) throws -> Answer {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path ?? "")
        process.arguments =
            ["--device", "cpu", "-c", "1024", "--json", "run"] + arguments
            + [RealModel.file.path, prompt]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return try JSONDecoder().decode(Answer.self, from: data)
    }
}
