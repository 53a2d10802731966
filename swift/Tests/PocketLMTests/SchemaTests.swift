import Foundation
import PocketLM
import Testing

@Suite struct SchemaTests {
    @Test func aSchemaIsWrittenInOrder() throws {
        let schema = Schema.object([
            .init("name", .string(description: "the \"name\"\n")),
            .init("kind", .choice(["a", "b"])),
            .init("size", .integer(minimum: 1, maximum: 9)),
            .init("ratio", .number(minimum: 0.5), isRequired: false),
            .init("tags", .array(of: .string(pattern: #"[a-z]+\d"#), maxItems: 3)),
            .init("open", .boolean()),
            .init("note", .optional(.string())),
        ])
        let expected = #"""
            {"type":"object","properties":{"name":{"type":"string","description":"the \"name\"\n"},\#
            "kind":{"type":"string","enum":["a","b"]},"size":{"type":"integer","minimum":1,"maximum":9},\#
            "ratio":{"type":"number","minimum":0.5},"tags":{"type":"array","items":{"type":"string",\#
            "pattern":"[a-z]+\\d"},"maxItems":3},"open":{"type":"boolean"},\#
            "note":{"anyOf":[{"type":"string"},{"type":"null"}]}},\#
            "required":["name","kind","size","tags","open","note"],"additionalProperties":false}
            """#
        #expect(schema.jsonText == expected)
        _ = try JSONSerialization.jsonObject(with: Data(schema.jsonText.utf8))
    }

    @Test func anyTextIsQuotedAsJSON() throws {
        let texts = ["\u{0}\u{1F}", "\\ / \"", "🦙", "\u{2028}", "é"]
        let json = Schema.choice(texts).jsonText
        let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
        #expect(object?["enum"] as? [String] == texts)
    }

    @Test func aStructuresSchemaIsFound() throws {
        struct Point: Decodable {
            let x: Double
            let y: Float
        }
        enum Colour: String, Decodable, CaseIterable { case red, green }
        struct Shape: StructuredOutput {
            let name: String
            let corners: [Point]
            let colour: Colour
            let weight: UInt16
            let layer: Int?
            let visible: Bool
            let made: Date?
        }
        let point = Schema.object([.init("x", .number()), .init("y", .number())])
        let expected = Schema.object([
            .init("name", .string()),
            .init("corners", .array(of: point)),
            .init("colour", .choice(["red", "green"])),
            .init("weight", .integer(minimum: 0)),
            .init("layer", .integer(), isRequired: false),
            .init("visible", .boolean()),
            .init("made", .number(), isRequired: false),
        ])
        #expect(try Shape.schema == expected)
    }

    @Test func codingKeysAreFollowed() throws {
        struct Renamed: StructuredOutput {
            let first: String
            enum CodingKeys: String, CodingKey { case first = "der erste/~" }
        }
        #expect(try Renamed.schema == .object([.init("der erste/~", .string())]))
    }

    @Test func wrappedValuesAndLists() throws {
        #expect(try Schema(inferredFrom: [Int].self) == .array(of: .integer()))
        #expect(try Schema(inferredFrom: [[String]].self) == .array(of: .array(of: .string())))
        #expect(try Schema(inferredFrom: String?.self) == .optional(.string()))
        #expect(try Schema(inferredFrom: URL.self) == .string())
    }

    @Test func whatCannotBeFollowedIsNamed() throws {
        struct Node: StructuredOutput { let children: [Node] }
        enum Opaque: String, Decodable { case a }
        struct Holder: StructuredOutput { let inner: Opaque }
        struct Picky: StructuredOutput {
            init(from decoder: any Decoder) throws {
                let text = try decoder.singleValueContainer().decode(String.self)
                throw DecodingError.valueNotFound(
                    String.self, .init(codingPath: [], debugDescription: text))
            }
        }
        struct Table: StructuredOutput { let cells: [String: Int] }
        for type in [Node.self, Holder.self, Picky.self, Table.self] as [any StructuredOutput.Type] {
            #expect(throws: PocketError.self) { try type.schema }
        }
        #expect(throws: PocketError.schemaUnsupported(path: "/inner")) { try Holder.schema }
    }

    @Test func aTypeCanSayItself() throws {
        struct Rated: StructuredOutput {
            let stars: Int
            static var schema: Schema {
                .object([.init("stars", .integer(minimum: 1, maximum: 5))])
            }
        }
        let type: any StructuredOutput.Type = Rated.self
        #expect(try type.schema == .object([.init("stars", .integer(minimum: 1, maximum: 5))]))
    }
}
