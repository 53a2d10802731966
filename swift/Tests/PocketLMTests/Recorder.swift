import Foundation
import PocketLM

/// Values that arrive on any thread.
final class Recorder<Value: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var list: [Value] = []

    func add(_ value: Value) {
        lock.withLock { list.append(value) }
    }

    var values: [Value] {
        lock.withLock { list }
    }
}

/// The library's error that a call throws; `nil` when it throws none.
func pocketError<Result>(_ call: () async throws -> Result) async -> PocketError? {
    do {
        _ = try await call()
        return nil
    } catch {
        return error as? PocketError
    }
}
