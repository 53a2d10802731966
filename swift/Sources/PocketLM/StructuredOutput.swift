/// A type that a model can write: its values are decoded from JSON, and it says what that JSON looks
/// like.
///
/// The schema of a plain structure is found by itself:
///
/// ```swift
/// struct City: StructuredOutput {
///     let name: String
///     let inhabitants: Int
///     let river: String?
/// }
///
/// let city = try await session.respond(to: "Describe Paris.", as: City.self).value
/// ```
///
/// Write ``schema-swift.type.property`` where descriptions or bounds help the model, or where the type
/// decodes itself in a way that cannot be followed.
public protocol StructuredOutput: Decodable, Sendable {
    /// The shape of the type's JSON.
    ///
    /// - Throws: ``PocketError/schemaUnsupported(path:)`` when it cannot be found by itself.
    static var schema: Schema { get throws }
}

extension StructuredOutput {
    /// The shape that the type's decoding asks for.
    public static var schema: Schema {
        get throws { try Schema(inferredFrom: Self.self) }
    }
}

/// A whole answer, and the value that it is.
public struct StructuredResponse<Value: Sendable>: Sendable {
    /// The decoded value.
    public let value: Value
    /// The answer as the model gave it.
    public let response: Response
}

/// An answer that was cut off, or is no value of the type for another reason.
public struct StructuredOutputError: Error, Sendable, CustomStringConvertible {
    /// The answer. Its ``Response/finish`` tells whether it was cut off.
    public let response: Response
    /// What decoding said.
    public let reason: String

    /// The error in one English sentence.
    public var description: String {
        "the answer is no value of the type (\(response.finish)): \(reason)"
    }
}
