import Foundation
internal import PocketLMInternal

/// Something of the app that the model may call: it asks, the app answers, and the model goes on with
/// the answer.
///
/// ```swift
/// struct Place: StructuredOutput { let city: String }
///
/// let weather = try ModelTool("weather", "Tells the weather of a city.") { (place: Place) in
///     "It rains in \(place.city)."
/// }
/// let session = try model.session(tools: [weather])
/// ```
///
/// What a tool throws is told to the model as the reason, and the turn goes on.
public struct ModelTool: Sendable {
    /// Its name, which the model uses.
    public let name: String
    /// What it is good for, in words for the model.
    public let description: String
    /// The shape of its arguments, an object.
    public let parameters: Schema

    let run: @Sendable (_ arguments: String) async throws -> String

    /// A tool whose arguments come as JSON text.
    ///
    /// - Parameters:
    ///   - run: Answers a call. Its task is cancelled when the answer is.
    public init(
        _ name: String,
        _ description: String,
        parameters: Schema,
        run: @escaping @Sendable (_ arguments: String) async throws -> String
    ) {
        self.name = name
        self.description = description
        self.parameters = parameters
        self.run = run
    }

    /// A tool whose arguments are decoded.
    ///
    /// - Throws: ``PocketError/schemaUnsupported(path:)`` when the schema of the arguments cannot be
    ///   found.
    public init<Arguments: StructuredOutput>(
        _ name: String,
        _ description: String,
        run: @escaping @Sendable (_ arguments: Arguments) async throws -> String
    ) throws {
        self.init(name, description, parameters: try Arguments.schema) { json in
            try await run(JSONDecoder().decode(Arguments.self, from: Data(json.utf8)))
        }
    }

    var foreign: ToolSpec {
        ToolSpec(name: name, description: description, parametersJson: parameters.jsonText)
    }
}
