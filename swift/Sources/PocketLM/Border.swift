internal import PocketLMInternal

/// Runs a call over the border, and throws its errors in the app's form.
func translated<Result>(_ call: () throws -> Result) throws -> Result {
    do {
        return try call()
    } catch let error as PocketLMInternal.PocketError {
        throw PocketError.native(error)
    }
}

/// The same for a call that waits.
func awaited<Result: Sendable>(
    isolation: isolated (any Actor)? = #isolation,
    _ call: () async throws -> Result
) async throws -> Result {
    do {
        return try await call()
    } catch let error as PocketLMInternal.PocketError {
        throw PocketError.native(error)
    }
}

/// A call that waits, and that a cancelled task stops by `onCancel`: generated code does not look at
/// the task. The task then gets `CancellationError`, even when the call came to its end.
func cancellable<Result: Sendable>(
    _ call: @Sendable () async throws -> Result,
    onCancel: @escaping @Sendable () -> Void
) async throws -> Result {
    try Task.checkCancellation()
    do {
        let result = try await awaited {
            try await withTaskCancellationHandler(operation: call, onCancel: onCancel)
        }
        try Task.checkCancellation()
        return result
    } catch {
        throw Task.isCancelled ? CancellationError() : error
    }
}
