internal import PocketLMInternal

/// What is wrong with a saved session.
public enum SessionFault: Sendable, Hashable, CaseIterable {
    /// The file is not there or cannot be read.
    case unreadable
    /// The file could not be written; what was there before still is.
    case unwritable
    /// The file is something else.
    case notASession
    /// A later version of this library wrote it.
    case otherVersion
    /// The end of the file is missing.
    case truncated
    /// The file is not what was written.
    case damaged
    /// The file is encrypted, and no key was given.
    case keyMissing
    /// The file is encrypted with another key.
    case wrongKey
    /// A key was given, and the file is not encrypted.
    case notEncrypted
    /// Another model's session.
    case otherModel
    /// The same model, with another chat template.
    case otherTemplate

    init(_ fault: PocketLMInternal.SessionFault) {
        switch fault {
        case .unreadable: self = .unreadable
        case .unwritable: self = .unwritable
        case .notASession: self = .notASession
        case .otherVersion: self = .otherVersion
        case .truncated: self = .truncated
        case .damaged: self = .damaged
        case .keyMissing: self = .keyMissing
        case .wrongKey: self = .wrongKey
        case .notEncrypted: self = .notEncrypted
        case .otherModel: self = .otherModel
        case .otherTemplate: self = .otherTemplate
        }
    }

    var foreign: PocketLMInternal.SessionFault {
        switch self {
        case .unreadable: .unreadable
        case .unwritable: .unwritable
        case .notASession: .notASession
        case .otherVersion: .otherVersion
        case .truncated: .truncated
        case .damaged: .damaged
        case .keyMissing: .keyMissing
        case .wrongKey: .wrongKey
        case .notEncrypted: .notEncrypted
        case .otherModel: .otherModel
        case .otherTemplate: .otherTemplate
        }
    }
}
