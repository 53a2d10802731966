import Foundation
import PocketLM
import Testing

@Suite(.serialized) struct LoadTests {
    @Test(.needsModel) func aModelTellsWhatItIs() async throws {
        let model = try await RealModel.shared()
        #expect(model.info.architecture == "qwen2")
        #expect(model.info.parameters > 400_000_000)
        #expect(model.info.layers == 24)
        #expect(model.info.hasChatTemplate)
        #expect(model.info.formats.map(\.bytes).reduce(0, +) < model.info.fileBytes)
        #expect(model.deviceName == "cpu")
        #expect(!model.device.isEmpty)
        #expect(model.context == 1024)
        #expect(model.notices.isEmpty)
        #expect(!model.isClosed)
    }

    @Test(.needsModel) func progressEndsAtOne() async throws {
        let seen = Recorder<Double>()
        let model = try await LocalModel.load(RealModel.file, options: RealModel.options) {
            seen.add($0)
        }
        #expect(seen.values.last == 1)
        #expect(seen.values == seen.values.sorted())
        await model.close()
    }

    @Test(.needsModel) func aCancelledLoadIsACancellation() async throws {
        let load = Task { try await LocalModel.load(RealModel.file, options: RealModel.options) }
        load.cancel()
        await #expect(throws: CancellationError.self) { try await load.value }
    }

    @Test func aMissingFileIsTyped() async throws {
        let path = "/no/such/model.gguf"
        let error = await pocketError { try await LocalModel.load(URL(fileURLWithPath: path)) }
        guard case .modelNotFound(let missing, let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(missing == path)
        #expect(!reason.isEmpty)
    }

    @Test func aFileOfSomethingElseIsTyped() async throws {
        try await withFile(Data("GGUF is not what this is".utf8)) { file in
            let error = await pocketError { try await LocalModel.load(file) }
            guard case .corruptModel(let what, let location)? = error else {
                guard case .unsupportedModel(let what)? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(!what.isEmpty)
                return
            }
            #expect(!what.isEmpty && !location.isEmpty)
        }
    }

    @Test(.needsModel) func aTruncatedModelIsTyped() async throws {
        let handle = try FileHandle(forReadingFrom: RealModel.file)
        let head = try handle.read(upToCount: 8_000_000) ?? Data()
        try await withFile(head) { file in
            let error = await pocketError { try await LocalModel.load(file) }
            guard case .corruptModel(let what, let location)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(!what.isEmpty && !location.isEmpty)
        }
    }

    @Test func anAddressElsewhereIsRefused() async throws {
        let error = await pocketError {
            try await LocalModel.load(URL(string: "https://example.org/model.gguf")!)
        }
        guard case .invalidArgument(let name, let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(name == "file")
        #expect(reason.contains("example.org"))
    }

    private static let impossible: [(LoadOptions, String)] = [
        (LoadOptions(device: .cpu, threads: 0), "threads"),
        (LoadOptions(device: .cpu, threads: -1), "threads"),
        (LoadOptions(device: .cpu, context: 0), "context"),
        (LoadOptions(device: .cpu, context: 10_000_000), "context"),
    ]

    @Test(.needsModel, arguments: impossible)
    func impossibleOptionsAreNamed(options: LoadOptions, expected: String) async throws {
        let error = await pocketError { try await LocalModel.load(RealModel.file, options: options) }
        guard case .invalidArgument(let name, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(name == expected)
    }

    @Test(.needsModel) func aPathWithUnicodeIsFound() async throws {
        let link = FileManager.default.temporaryDirectory
            .appendingPathComponent("模型 🦙 \(UUID()).gguf")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: RealModel.file)
        defer { try? FileManager.default.removeItem(at: link) }
        let model = try await LocalModel.load(link, options: RealModel.options)
        #expect(model.info.architecture == "qwen2")
        await model.close()
    }
}
