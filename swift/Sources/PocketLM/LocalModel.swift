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

    /// What a model will need, from its file's header alone: nothing is loaded.
    ///
    /// - Throws: Those errors of ``load(_:options:progress:)`` that the header shows. Too little memory
    ///   is none here.
    public static func plan(
        _ file: URL, options: LoadOptions = LoadOptions()
    ) async throws -> ModelPlan {
        let path = try path(of: file)
        return try await awaited {
            ModelPlan(try await planModel(path: path, options: try options.foreign))
        }
    }

    /// Starts a conversation, with instructions and tools if there are any.
    ///
    /// - Parameters:
    ///   - instructions: The system message.
    ///   - tools: What the model may call.
    /// - Throws: What ``session(options:)`` throws.
    public func session(
        instructions: String? = nil, tools: [ModelTool] = []
    ) throws -> ModelSession {
        try session(options: SessionOptions(instructions: instructions, tools: tools))
    }

    /// Starts a conversation.
    ///
    /// - Throws: ``PocketError/insufficientMemory(needed:available:)`` when its cache does not fit,
    ///   ``PocketError/invalidArgument(name:reason:)`` for tools that cannot be, ``PocketError/closed``.
    public func session(options: SessionOptions) throws -> ModelSession {
        try translated {
            let session = try raw.session(options: try options.foreign)
            return ModelSession(session, model: self, tools: options.tools)
        }
    }

    /// The conversation that ``ModelSession/save(to:key:)`` wrote.
    ///
    /// - Parameters:
    ///   - file: Where it is.
    ///   - key: The key of 32 bytes that it was encrypted with, if it was.
    ///   - options: What a file cannot hold. Instructions take the place of the saved ones.
    /// - Throws: ``PocketError/sessionFile(_:detail:)`` saying what is wrong with the file or the key,
    ///   ``PocketError/invalidArgument(name:reason:)``, ``PocketError/closed``.
    public func restore(
        from file: URL, key: Data? = nil, options: SessionOptions = SessionOptions()
    ) async throws -> ModelSession {
        let path = try Self.path(of: file)
        let session = try await awaited {
            try await raw.restore(path: path, key: key, options: try options.foreign)
        }
        return ModelSession(session, model: self, tools: options.tools)
    }

    /// Does now what the first answer would wait for: reads the weights into memory where they fit,
    /// and on a GPU compiles the kernels.
    ///
    /// - Throws: ``PocketError/closed``, ``PocketError/deviceLost(reason:)``.
    public func prewarm() async throws {
        try await awaited { try await raw.prewarm() }
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
