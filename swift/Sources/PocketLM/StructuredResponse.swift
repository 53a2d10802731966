import Foundation

/// A whole answer, and the value that it is.
public struct StructuredResponse<Value: Sendable>: Sendable {
    /// The decoded value.
    public let value: Value
    /// The answer as the model gave it.
    public let response: Response
}

/// An answer that was cut off, or is no value of the type for another reason.
public struct StructuredOutputError: LocalizedError, Sendable {
    /// The answer. Its ``Response/finish`` tells whether it was cut off.
    public let response: Response
    /// What decoding said.
    public let reason: String

    /// The error in one English sentence.
    public var errorDescription: String? {
        "the answer is no value of the type (\(response.finish)): \(reason)"
    }
}

extension ModelSession {
    /// Answers a message with a value: the model can write nothing else.
    ///
    /// - Throws: ``StructuredOutputError`` when the answer was cut off, ``PocketError/schemaUnsupported(path:)``,
    ///   and what ``stream(_:options:)`` throws.
    public func respond<Value: StructuredOutput>(
        to prompt: String,
        as type: Value.Type = Value.self,
        options: GenerateOptions = GenerateOptions()
    ) async throws -> StructuredResponse<Value> {
        var options = options
        options.format = .schema(try Value.schema)
        let response = try await respond(to: prompt, options: options)
        do {
            let value = try JSONDecoder().decode(Value.self, from: Data(response.text.utf8))
            return StructuredResponse(value: value, response: response)
        } catch {
            throw StructuredOutputError(response: response, reason: "\(error)")
        }
    }
}

#if canImport(FoundationModels)
    import FoundationModels

    @available(iOS 26.0, macOS 26.0, visionOS 26.0, *)
    extension ModelSession {
        /// Answers a message with a value of a type that Apple's `@Generable` describes. Not run yet.
        public func respond<Value: Generable>(
            to prompt: String,
            generating type: Value.Type = Value.self,
            options: GenerateOptions = GenerateOptions()
        ) async throws -> Value {
            var options = options
            let schema = try JSONEncoder().encode(Value.generationSchema)
            options.format = .schema(.json(String(decoding: schema, as: UTF8.self)))
            let response = try await respond(to: prompt, options: options)
            return try Value(GeneratedContent(json: response.text))
        }
    }
#endif
