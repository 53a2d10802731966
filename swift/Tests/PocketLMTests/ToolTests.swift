import Foundation
import PocketLM
import Testing

/// Tools of the app, as closures that wait.
@Suite(.serialized, .needsModel) struct ToolTests {
    private struct Place: StructuredOutput {
        let city: String
    }

    private struct Closed: Error, CustomStringConvertible {
        let description = "the station is closed"
    }

    private let prompt = "What is the weather in Paris right now? Use the tool."

    private func session(
        _ run: @escaping @Sendable (Place) async throws -> String
    ) async throws -> ModelSession {
        let weather = try ModelTool("get_weather", "Tells the current weather of a city", run: run)
        return try await RealModel.shared().session(
            instructions: "You are a helpful assistant. Use tools when they help.", tools: [weather])
    }

    @Test func aToolIsCalledAndTheTurnGoesOn() async throws {
        let cities = Recorder<String>()
        let session = try await session { place in
            cities.add(place.city)
            try await Task.sleep(nanoseconds: 50_000_000)
            return "13 degrees and foggy"
        }
        let events = try await events(of: session.stream(prompt, options: .greedy(maxTokens: 120)))
        #expect(cities.values.first == "Paris")
        let called = events.firstIndex { if case .toolCall = $0 { true } else { false } }
        let returned = events.firstIndex { if case .toolResult = $0 { true } else { false } }
        guard case .toolCall(let call) = events[try #require(called)],
            case .toolResult(let answered, let content) = events[try #require(returned)]
        else { return }
        #expect(called! < returned!)
        #expect(call.name == "get_weather" && call == answered)
        #expect(content == "13 degrees and foggy")
        // What so small a model makes of the result is its own affair; that it goes on is not.
        if case .done = events.last {} else { Issue.record("no end: \(events)") }
        let transcript = try await session.transcript
        #expect(transcript.flatMap(\.toolCalls).first?.arguments.contains("Paris") == true)
        let result = transcript.first { $0.role == .tool }
        #expect(result?.content == content)
        #expect(result?.toolCallID == call.id)
    }

    @Test func whyAToolFailsIsToldToTheModel() async throws {
        let session = try await session { _ in throw Closed() }
        let events = try await events(of: session.stream(prompt, options: .greedy(maxTokens: 60)))
        let contents = events.compactMap { event -> String? in
            if case .toolResult(_, let content) = event { content } else { nil }
        }
        #expect(contents.first == #"{"error":"the station is closed"}"#)
        guard case .done(let finish, _)? = events.last else {
            Issue.record("\(events)")
            return
        }
        #expect(finish != .cancelled)
    }

    @Test func aToolIsCancelledWithTheTask() async throws {
        let (begun, ended) = (Recorder<Bool>(), Recorder<Bool>())
        let session = try await session { _ in
            begun.add(true)
            defer { ended.add(true) }
            try await Task.sleep(nanoseconds: 60_000_000_000)
            return ""
        }
        let task = Task { try await session.respond(to: prompt, options: .greedy(maxTokens: 60)) }
        while begun.values.isEmpty { try await Task.sleep(nanoseconds: 1_000_000) }
        task.cancel()
        let start = Date()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(Date().timeIntervalSince(start) < 2)
        #expect(ended.values.count == begun.values.count)
        #expect(try await session.transcript.map(\.role) == [.system])
    }

    @Test func theSessionCanBeStoppedWhileAToolRuns() async throws {
        let begun = Recorder<Bool>()
        let session = try await session { _ in
            begun.add(true)
            try await Task.sleep(nanoseconds: 60_000_000_000)
            return ""
        }
        let task = Task { try await session.respond(to: prompt, options: .greedy(maxTokens: 60)) }
        while begun.values.isEmpty { try await Task.sleep(nanoseconds: 1_000_000) }
        session.cancel()
        #expect(try await task.value.finish == .cancelled)
        #expect(try await session.transcript.map(\.role) == [.system])
    }

    @Test func leavingTheLoopCancelsTheTool() async throws {
        let (begun, ended) = (Recorder<Bool>(), Recorder<Bool>())
        let session = try await session { _ in
            begun.add(true)
            defer { ended.add(true) }
            try await Task.sleep(nanoseconds: 60_000_000_000)
            return ""
        }
        let reading = Task {
            for try await event in session.stream(prompt, options: .greedy(maxTokens: 60)) {
                if case .toolCall = event { break }
            }
        }
        try await reading.value
        #expect(try await session.transcript.map(\.role) == [.system])
        // Where the tool had begun already, it ends soon.
        for _ in 0..<2000 where ended.values.count < begun.values.count {
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        #expect(ended.values.count == begun.values.count)
    }

    @Test func twoToolsOfOneNameAreRefused() async throws {
        let tool = ModelTool("a", "A", parameters: .object([])) { _ in "" }
        let error = await pocketError { try await RealModel.shared().session(tools: [tool, tool]) }
        guard case .invalidArgument(let name, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(name == "tools")
    }
}
