import Foundation
import PocketLM
import Testing

/// The model that most tests talk to, loaded once.
enum RealModel {
    static let file = folder.appendingPathComponent("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")

    static var isHere: Bool { FileManager.default.fileExists(atPath: file.path) }

    /// On the CPU and with a small context, so that many sessions fit.
    static let options = LoadOptions(device: .cpu, context: 1024)

    private static let loading = Task { try await LocalModel.load(file, options: options) }

    /// The model, on the CPU.
    static func shared() async throws -> LocalModel {
        try await loading.value
    }

    /// A new conversation with it.
    static func session(_ instructions: String? = nil) async throws -> ModelSession {
        try await shared().session(instructions: instructions)
    }

    static var folder: URL {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["POCKETLM_MODELS"] {
            return URL(fileURLWithPath: folder)
        }
        return FileManager.default.homeDirectoryForCurrentUser
            .appendingPathComponent(".cache/pocketlm/models")
    }
}

extension Trait where Self == ConditionTrait {
    /// For tests of the real model.
    static var needsModel: Self {
        .enabled(if: RealModel.isHere, "no \(RealModel.file.lastPathComponent)")
    }
}

/// A short answer that is the same every time.
let short = GenerateOptions.greedy(maxTokens: 12)

/// All events of an answer.
func events(of stream: ResponseStream) async throws -> [Event] {
    var events: [Event] = []
    for try await event in stream {
        events.append(event)
    }
    return events
}

/// A file that is there as long as `body` runs.
func withFile<Result>(
    _ contents: Data, _ body: (URL) async throws -> Result
) async throws -> Result {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).gguf")
    try contents.write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    return try await body(file)
}
