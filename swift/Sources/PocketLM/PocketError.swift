import Foundation
internal import PocketLMInternal

/// What can go wrong, with what an app needs to react or to show a message.
///
/// Cancellation is not among them: a cancelled task throws `CancellationError`, as everywhere in
/// Swift.
public enum PocketError: Error, Sendable, Hashable {
    /// There is no readable file at the path.
    case modelNotFound(path: String, reason: String)
    /// The file is well formed, but this library cannot run what is in it: `what` names it.
    case unsupportedModel(what: String)
    /// The file contradicts its own format: what is wrong, and the metadata key or tensor where.
    case corruptModel(what: String, location: String)
    /// The model, its cache or its scratch space does not fit; both in bytes.
    case insufficientMemory(needed: UInt64, available: UInt64)
    /// The prompt, with what is already in the session, does not fit the context window; both in
    /// tokens.
    case contextExceeded(size: Int, tokens: Int)
    /// The chat template could not be compiled or rendered within its limits.
    case templateFailed(reason: String)
    /// An argument is outside its domain.
    case invalidArgument(name: String, reason: String)
    /// A JSON schema uses a keyword that cannot be enforced: the JSON pointer to it.
    case schemaUnsupported(path: String)
    /// A tool of the app failed.
    case toolFailed(name: String, reason: String)
    /// A saved session cannot be written or restored: why, and where or what was found instead.
    case sessionFile(SessionFault, detail: String)
    /// The session is already generating.
    case busy
    /// The requested compute device cannot be used here.
    case deviceUnavailable(device: String, reason: String)
    /// The compute device went away during an operation.
    case deviceLost(reason: String)
    /// The model or session was closed.
    case closed
    /// A bug in the library; please report it with the text.
    case `internal`(reason: String)
}

extension PocketError: LocalizedError, CustomStringConvertible {
    /// The error in one English sentence, for logs and bug reports.
    public var description: String {
        foreign.description
    }

    /// The same, where an `Error` is shown.
    public var errorDescription: String? {
        description
    }
}

extension PocketError {
    /// The error in the app's form; cancellation becomes `CancellationError`.
    static func native(_ error: PocketLMInternal.PocketError) -> any Error {
        switch error {
        case .ModelNotFound(let path, let reason):
            PocketError.modelNotFound(path: path, reason: reason)
        case .UnsupportedModel(let what): PocketError.unsupportedModel(what: what)
        case .CorruptModel(let what, let location):
            PocketError.corruptModel(what: what, location: location)
        case .InsufficientMemory(let needed, let available):
            PocketError.insufficientMemory(needed: needed, available: available)
        case .ContextExceeded(let size, let tokens):
            PocketError.contextExceeded(size: Int(clamping: size), tokens: Int(clamping: tokens))
        case .TemplateFailed(let reason): PocketError.templateFailed(reason: reason)
        case .InvalidArgument(let name, let reason):
            PocketError.invalidArgument(name: name, reason: reason)
        case .SchemaUnsupported(let path): PocketError.schemaUnsupported(path: path)
        case .ToolFailed(let name, let reason): PocketError.toolFailed(name: name, reason: reason)
        case .SessionFile(let fault, let detail):
            PocketError.sessionFile(SessionFault(fault), detail: detail)
        case .Busy: PocketError.busy
        case .DeviceUnavailable(let device, let reason):
            PocketError.deviceUnavailable(device: device, reason: reason)
        case .DeviceLost(let reason): PocketError.deviceLost(reason: reason)
        case .Closed: PocketError.closed
        case .Cancelled: CancellationError()
        case .Internal(let reason): PocketError.internal(reason: reason)
        }
    }

    /// The error in the border's form, which knows the text.
    var foreign: PocketLMInternal.PocketError {
        switch self {
        case .modelNotFound(let path, let reason): .ModelNotFound(path: path, reason: reason)
        case .unsupportedModel(let what): .UnsupportedModel(what: what)
        case .corruptModel(let what, let location): .CorruptModel(what: what, location: location)
        case .insufficientMemory(let needed, let available):
            .InsufficientMemory(needed: needed, available: available)
        case .contextExceeded(let size, let tokens):
            .ContextExceeded(size: UInt64(clamping: size), tokens: UInt64(clamping: tokens))
        case .templateFailed(let reason): .TemplateFailed(reason: reason)
        case .invalidArgument(let name, let reason): .InvalidArgument(name: name, reason: reason)
        case .schemaUnsupported(let path): .SchemaUnsupported(path: path)
        case .toolFailed(let name, let reason): .ToolFailed(name: name, reason: reason)
        case .sessionFile(let fault, let detail):
            .SessionFile(fault: fault.foreign, detail: detail)
        case .busy: .Busy
        case .deviceUnavailable(let device, let reason):
            .DeviceUnavailable(device: device, reason: reason)
        case .deviceLost(let reason): .DeviceLost(reason: reason)
        case .closed: .Closed
        case .internal(let reason): .Internal(reason: reason)
        }
    }
}
