import Foundation
internal import PocketLMInternal

/// A language model's weights, loaded from a GGUF file: expensive to load, shared by all its sessions.
///
/// ```swift
/// let model = try await LocalModel.load(URL(fileURLWithPath: "model.gguf"))
/// let session = try model.session(instructions: "Answer briefly.")
/// print(try await session.respond(to: "What is a GGUF file?").text)
/// await model.close()
/// ```
///
/// On the CPU the weights are read from the mapped file: its clean pages do not count against an
/// app's memory limit, and the system may drop them.
public final class LocalModel: Sendable {
    let raw: PocketLMInternal.LocalModel

    /// Facts about the file.
    public let info: ModelInfo

    /// A sentence about the device in use.
    public let device: String

    /// The device's name: `cpu`, `gpu` or `reference`.
    public let deviceName: String

    /// Positions, in tokens, that a session may use.
    public let context: Int

    /// What happened while loading that the app did not ask for.
    public let notices: [Notice]

    private init(_ raw: PocketLMInternal.LocalModel) {
        self.raw = raw
        info = ModelInfo(raw.info())
        device = raw.device()
        deviceName = raw.deviceName()
        context = Int(clamping: raw.context())
        notices = raw.notices().map(Notice.init)
    }

    /// Loads a GGUF file, on threads of the library.
    ///
    /// Cancelling the task stops the load.
    ///
    /// - Parameters:
    ///   - file: The file's URL; the first file of a model in several shards.
    ///   - options: Where and how to run.
    ///   - progress: Called now and then while loading, with how much is done, from 0 to 1.
    /// - Throws: ``PocketError/modelNotFound(path:reason:)``, ``PocketError/unsupportedModel(what:)``,
    ///   ``PocketError/corruptModel(what:location:)``,
    ///   ``PocketError/insufficientMemory(needed:available:)``,
    ///   ``PocketError/deviceUnavailable(device:reason:)``,
    ///   ``PocketError/invalidArgument(name:reason:)`` for the options, and `CancellationError`.
    public static func load(
        _ file: URL,
        options: LoadOptions = LoadOptions(),
        progress: (@Sendable (Double) -> Void)? = nil
    ) async throws -> LocalModel {
        let path = try path(of: file)
        let task = LoadTask()
        let watch = progress.map { report in
            Task {
                // What is reported grows: a value that stays is not repeated.
                var last = -1.0
                while !Task.isCancelled {
                    let done = task.progress()
                    if done > last {
                        report(done)
                        last = done
                    }
                    try await Task.sleep(nanoseconds: 50_000_000)
                }
            }
        }
        defer { watch?.cancel() }
        let raw = try await cancellable {
            try await PocketLMInternal.LocalModel.load(
                path: path, options: options.foreign, task: task)
        } onCancel: {
            task.cancel()
        }
        progress?(1)
        return LocalModel(raw)
    }

    /// Starts a conversation.
    ///
    /// - Parameters:
    ///   - instructions: The system message.
    /// - Throws: ``PocketError/insufficientMemory(needed:available:)`` when its cache does not fit,
    ///   ``PocketError/closed``.
    public func session(instructions: String? = nil) throws -> ModelSession {
        try translated {
            let options = PocketLMInternal.SessionOptions(instructions: instructions)
            return ModelSession(try raw.session(options: options), model: self)
        }
    }

    /// Closes the model for good and frees what it holds: answers in progress are stopped and waited
    /// for. What is called afterwards, here or on a session of this model, throws
    /// ``PocketError/closed``.
    public func close() async {
        raw.shutDown()
        await raw.join()
    }

    /// Whether ``close()`` was called.
    public var isClosed: Bool {
        raw.isShutDown()
    }

    static func path(of file: URL) throws -> String {
        guard file.isFileURL else {
            throw PocketError.invalidArgument(
                name: "file", reason: "\(file.absoluteString) is not the URL of a file")
        }
        return file.path
    }
}

extension LocalModel: Hashable {
    /// Whether they are the same loaded model.
    public static func == (left: LocalModel, right: LocalModel) -> Bool { left === right }

    /// Hashes which loaded model it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(self))
    }
}
