internal import PocketLMInternal

/// What the library has to say while it works, for the app's own log.
public enum Log {
    /// How much a message matters.
    public enum Level: Int, Sendable, Hashable, Comparable, CaseIterable {
        /// Something failed.
        case error
        /// Something is not as it should be.
        case warning
        /// What an app's developer may want to know.
        case info
        /// For finding faults.
        case debug
        /// Every step.
        case trace

        /// Whether it matters more.
        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// Sends messages at `level` and above to `sink`, in place of an earlier one; `nil` ends that.
    ///
    /// The sink is called on threads of the library, which wait for it: it must be quick, and may not
    /// call the library.
    ///
    /// - Parameters:
    ///   - level: The least that matters.
    ///   - sink: Takes a message's level, the part of the library that it is from, and its text.
    public static func send(
        _ level: Level = .info,
        to sink: (@Sendable (_ level: Level, _ target: String, _ message: String) -> Void)?
    ) throws {
        try translated {
            try setLogSink(sink: sink.map(Sink.init), level: level.foreign)
        }
    }

    private final class Sink: LogSink {
        let take: @Sendable (Level, String, String) -> Void

        init(_ take: @escaping @Sendable (Level, String, String) -> Void) {
            self.take = take
        }

        func log(level: LogLevel, target: String, message: String) {
            take(Level(level), target, message)
        }
    }
}

extension Log.Level {
    fileprivate init(_ level: LogLevel) {
        switch level {
        case .error: self = .error
        case .warn: self = .warning
        case .info: self = .info
        case .debug: self = .debug
        case .trace: self = .trace
        }
    }

    fileprivate var foreign: LogLevel {
        switch self {
        case .error: .error
        case .warning: .warn
        case .info: .info
        case .debug: .debug
        case .trace: .trace
        }
    }
}
