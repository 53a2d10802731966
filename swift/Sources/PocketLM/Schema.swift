import Foundation

/// What shape a JSON value must have: the part of JSON Schema that a model can be held to.
///
/// The properties of an object are written by the model in the order given here, so that a property
/// can rest on those before it.
///
/// ```swift
/// let city = Schema.object([
///     .init("name", .string()),
///     .init("inhabitants", .integer(minimum: 0)),
///     .init("river", .string(), isRequired: false),
/// ])
/// ```
public indirect enum Schema: Sendable, Hashable {
    /// A text; with a pattern, one that this regular expression matches as a whole.
    case string(description: String? = nil, pattern: String? = nil)
    /// One of these texts.
    case choice([String], description: String? = nil)
    /// A whole number.
    case integer(description: String? = nil, minimum: Int? = nil, maximum: Int? = nil)
    /// A number.
    case number(description: String? = nil, minimum: Double? = nil, maximum: Double? = nil)
    /// `true` or `false`.
    case boolean(description: String? = nil)
    /// A list.
    case array(of: Schema, description: String? = nil, minItems: Int? = nil, maxItems: Int? = nil)
    /// An object with these properties and no others.
    case object([Property], description: String? = nil)
    /// The value, or `null`.
    case optional(Schema)
    /// One of these shapes.
    case anyOf([Schema])
    /// A JSON Schema, written out.
    case json(String)

    /// A property of an object.
    public struct Property: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// The shape of its value.
        public var schema: Schema
        /// Whether it must be there.
        public var isRequired: Bool

        /// A property.
        public init(_ name: String, _ schema: Schema, isRequired: Bool = true) {
            self.name = name
            self.schema = schema
            self.isRequired = isRequired
        }
    }

    /// The schema as the text of a JSON Schema, its keys in a fixed order.
    public var jsonText: String {
        switch self {
        case .string(let description, let pattern):
            Self.typed("string", description, [("pattern", pattern.map(Self.quoted))])
        case .choice(let texts, let description):
            Self.typed("string", description, [("enum", Self.list(texts.map(Self.quoted)))])
        case .integer(let description, let minimum, let maximum):
            Self.typed(
                "integer", description,
                [("minimum", minimum.map(String.init)), ("maximum", maximum.map(String.init))])
        case .number(let description, let minimum, let maximum):
            Self.typed(
                "number", description,
                [("minimum", minimum.map { "\($0)" }), ("maximum", maximum.map { "\($0)" })])
        case .boolean(let description):
            Self.typed("boolean", description, [])
        case .array(let element, let description, let minItems, let maxItems):
            Self.typed(
                "array", description,
                [
                    ("items", element.jsonText),
                    ("minItems", minItems.map(String.init)),
                    ("maxItems", maxItems.map(String.init)),
                ])
        case .object(let properties, let description):
            Self.typed(
                "object", description,
                [
                    ("properties", Self.object(properties.map { ($0.name, $0.schema.jsonText) })),
                    (
                        "required",
                        Self.list(properties.filter(\.isRequired).map { Self.quoted($0.name) })
                    ),
                    ("additionalProperties", "false"),
                ])
        case .optional(let schema):
            Self.object([("anyOf", Self.list([schema.jsonText, #"{"type":"null"}"#]))])
        case .anyOf(let schemas):
            Self.object([("anyOf", Self.list(schemas.map(\.jsonText)))])
        case .json(let text):
            text
        }
    }

    private static func typed(
        _ type: String, _ description: String?, _ rest: [(String, String?)]
    ) -> String {
        object([("type", quoted(type)), ("description", description.map(quoted))] + rest)
    }

    /// An object of those entries that have a value.
    private static func object(_ entries: [(String, String?)]) -> String {
        let entries = entries.compactMap { name, value in value.map { "\(quoted(name)):\($0)" } }
        return "{" + entries.joined(separator: ",") + "}"
    }

    private static func list(_ values: [String]) -> String {
        "[" + values.joined(separator: ",") + "]"
    }

    /// A text as JSON: what must be escaped is, and nothing else (RFC 8259, section 7).
    private static func quoted(_ text: String) -> String {
        var json = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": json += "\\\""
            case "\\": json += "\\\\"
            case "\n": json += "\\n"
            case "\r": json += "\\r"
            case "\t": json += "\\t"
            case _ where scalar.value < 0x20:
                json += "\\u" + String(repeating: "0", count: scalar.value < 0x10 ? 3 : 2)
                    + String(scalar.value, radix: 16)
            default: json.unicodeScalars.append(scalar)
            }
        }
        return json + "\""
    }
}
