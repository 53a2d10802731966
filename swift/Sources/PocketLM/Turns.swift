import Foundation
internal import PocketLMInternal

/// Answers of a session that nobody listens to any more, but whose threads may still run: an iterator
/// that is let go cannot wait for them, so that the next turn does.
final class Turns: Sendable {
    private let abandoned = Locked<[PocketLMInternal.ResponseStream]>([])

    /// Notes a cancelled answer, to be waited for.
    func abandon(_ stream: PocketLMInternal.ResponseStream) {
        abandoned.with { $0.append(stream) }
    }

    /// Waits until abandoned answers have ended: the session is free then.
    func settle() async {
        for stream in abandoned.with({ list in
            defer { list = [] }
            return list
        }) {
            await stream.join()
        }
    }
}

/// A value that one thread at a time can see.
final class Locked<Value: Sendable>: @unchecked Sendable {
    // Unchecked, because the compiler does not see that `value` is only touched under the lock.
    // `Mutex` of the standard library would need iOS 18.
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) {
        self.value = value
    }

    /// Runs `body` with the value, alone.
    func with<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}
