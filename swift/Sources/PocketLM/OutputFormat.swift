internal import PocketLMInternal

/// What an answer must look like: the model cannot write anything else.
public enum OutputFormat: Sendable, Hashable {
    /// A JSON object or array, of any content.
    case json
    /// JSON that is valid under a schema.
    case schema(Schema)
    /// Text that matches a regular expression as a whole; without look-around and back-references.
    case regex(String)
    /// Text that a context-free grammar generates, in Lark's syntax; it begins at `start`.
    case grammar(String)

    var foreign: PocketLMInternal.OutputFormat {
        switch self {
        case .json: .json
        case .schema(let schema): .jsonSchema(schemaJson: schema.jsonText)
        case .regex(let pattern): .regex(pattern: pattern)
        case .grammar(let grammar): .lark(grammar: grammar)
        }
    }
}
