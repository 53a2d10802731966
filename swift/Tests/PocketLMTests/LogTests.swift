import PocketLM
import Testing

@Suite(.serialized, .needsModel) struct LogTests {
    @Test func messagesReachTheApp() async throws {
        let messages = Recorder<(Log.Level, String, String)>()
        try Log.send(.info) { messages.add(($0, $1, $2)) }
        let model = try await LocalModel.load(RealModel.file, options: RealModel.options)
        try Log.send(to: nil)
        await model.close()
        let loaded = messages.values.first { $0.2.contains("model loaded") }
        #expect(loaded?.0 == .info)
        #expect(loaded?.1.hasPrefix("pocketlm") == true)
        #expect(messages.values.allSatisfy { $0.0 <= .info })
        // After the end of it nothing comes any more.
        let count = messages.values.count
        let again = try await LocalModel.load(RealModel.file, options: RealModel.options)
        await again.close()
        #expect(messages.values.count == count)
    }
}
