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
