import Foundation

extension Schema {
    /// The shape of a type's JSON, found by letting it decode itself from a decoder that notes what
    /// is asked for, and gives empty values.
    ///
    /// Followed are structures and arrays of them, numbers, texts, booleans, optional values, dates
    /// and URLs as texts, and enumerations of texts that are `CaseIterable`.
    ///
    /// - Throws: ``PocketError/schemaUnsupported(path:)`` for anything else.
    public init(inferredFrom type: any Decodable.Type) throws {
        self = try Probe.schema(of: type, path: "")
    }
}

/// A decoder that has no values, and notes which are asked for.
private final class Probe: Decoder {
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]

    /// Where in the type we are, as a JSON pointer.
    let path: String
    /// What the type turned out to be.
    var found: Schema?
    var properties: [Schema.Property]?

    init(path: String) {
        self.path = path
    }

    var unsupported: PocketError {
        .schemaUnsupported(path: path.isEmpty ? "/" : path)
    }

    static func schema(of type: any Decodable.Type, path: String) throws -> Schema {
        func schema<T: Decodable>(_ type: T.Type) throws -> Schema {
            try describe(type, path: path).0
        }
        return try schema(type)
    }

    /// The schema of a type, and an empty value of it to go on with.
    static func describe<T: Decodable>(_ type: T.Type, path: String) throws -> (Schema, T) {
        if let schema = scalar(type), let value = emptyScalar(type) {
            return (schema, value)
        }
        let probe = Probe(path: path)
        if let optional = type as? any OptionalType.Type {
            return (.optional(try schema(of: optional.wrapped, path: path)), optional.none as! T)
        }
        // A dictionary decodes from nothing. A type that contains itself never ends.
        guard !(type is any DictionaryType.Type), path.split(separator: "/").count < Self.depth else {
            throw probe.unsupported
        }
        if let choices = (type as? any CaseIterable.Type).flatMap({ names($0) }),
            let first = choices.first
        {
            return (.choice(choices.map(\.0)), first.1 as! T)
        }
        let value: T
        do {
            value = try T(from: probe)
        } catch let error as PocketError {
            throw error
        } catch {
            // It refuses the empty values: what it wants cannot be guessed.
            throw probe.unsupported
        }
        if let properties = probe.properties {
            return (.object(properties), value)
        }
        guard let found = probe.found else { throw probe.unsupported }
        return (found, value)
    }

    /// How deep types may be nested.
    private static let depth = 24

    /// What JSON has a word for.
    private static func scalar(_ type: any Decodable.Type) -> Schema? {
        switch type {
        case is String.Type, is URL.Type: .string()
        case is Date.Type: .number()
        case is Bool.Type: .boolean()
        case is any (FixedWidthInteger & UnsignedInteger).Type: .integer(minimum: 0)
        case is any FixedWidthInteger.Type: .integer()
        case is any BinaryFloatingPoint.Type: .number()
        case is Decimal.Type: .number()
        default: nil
        }
    }

    private static func emptyScalar<T>(_ type: T.Type) -> T? {
        let values: [Any] = [
            "", false, 0, Int8(0), Int16(0), Int32(0), Int64(0), UInt(0), UInt8(0), UInt16(0),
            UInt32(0), UInt64(0), 0.0, Float(0), Decimal(0), Date(timeIntervalSince1970: 0),
            URL(fileURLWithPath: "/"),
        ]
        return values.first { Swift.type(of: $0) == type } as? T
    }

    /// The texts that stand for an enumeration's cases, with the cases.
    private static func names<T: CaseIterable>(_ type: T.Type) -> [(String, Any)]? {
        var names: [(String, Any)] = []
        for value in type.allCases {
            guard let raw = value as? any RawRepresentable, let name = raw.rawValue as? String else {
                return nil
            }
            names.append((name, value))
        }
        return names
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        if properties == nil { properties = [] }
        return KeyedDecodingContainer(ProbeObject<Key>(probe: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        ProbeArray(probe: self)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        ProbeValue(probe: self)
    }
}

/// Tells an optional type from others.
private protocol OptionalType {
    static var wrapped: any Decodable.Type { get throws }
    static var none: Self { get }
}

extension Optional: OptionalType {
    fileprivate static var wrapped: any Decodable.Type {
        get throws {
            guard let wrapped = Wrapped.self as? any Decodable.Type else {
                throw PocketError.schemaUnsupported(path: "\(Wrapped.self)")
            }
            return wrapped
        }
    }
}

/// Tells a dictionary type from others.
private protocol DictionaryType {}

extension Dictionary: DictionaryType {}

/// An object, whose properties are noted.
private struct ProbeObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let probe: Probe
    let codingPath: [any CodingKey] = []
    let allKeys: [Key] = []

    private func note(_ key: Key, _ schema: Schema, isRequired: Bool) {
        probe.properties?.append(.init(key.stringValue, schema, isRequired: isRequired))
    }

    private func path(_ key: Key) -> String {
        "\(probe.path)/\(key.stringValue)"
    }

    func contains(_ key: Key) -> Bool { true }

    func decodeNil(forKey key: Key) throws -> Bool { false }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        let (schema, value) = try Probe.describe(type, path: path(key))
        note(key, schema, isRequired: true)
        return value
    }

    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
        note(key, try Probe.schema(of: type, path: path(key)), isRequired: false)
        return nil
    }

    // The protocol's own defaults for these types would not come by the generic ones.
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try skip(type, key) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try skip(type, key) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try skip(type, key) }
    func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { try skip(type, key) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try skip(type, key) }
    func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { try skip(type, key) }
    func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { try skip(type, key) }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try skip(type, key) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try skip(type, key) }
    func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { try skip(type, key) }
    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try skip(type, key) }
    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try skip(type, key) }
    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try skip(type, key) }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try skip(type, key) }

    private func skip<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T? {
        note(key, try Probe.schema(of: type, path: path(key)), isRequired: false)
        return nil
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { throw probe.unsupported }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        throw probe.unsupported
    }

    func superDecoder() throws -> any Decoder { throw probe.unsupported }

    func superDecoder(forKey key: Key) throws -> any Decoder { throw probe.unsupported }
}

/// A list, which pretends to have one element until that was asked for.
private struct ProbeArray: UnkeyedDecodingContainer {
    let probe: Probe
    let codingPath: [any CodingKey] = []
    let count: Int? = nil
    var currentIndex = 0

    var isAtEnd: Bool { currentIndex > 0 }

    mutating func decodeNil() throws -> Bool { false }

    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let (schema, value) = try Probe.describe(type, path: "\(probe.path)/0")
        probe.found = .array(of: schema)
        currentIndex += 1
        return value
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> { throw probe.unsupported }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        throw probe.unsupported
    }

    mutating func superDecoder() throws -> any Decoder { throw probe.unsupported }
}

/// A value that wraps another.
private struct ProbeValue: SingleValueDecodingContainer {
    let probe: Probe
    let codingPath: [any CodingKey] = []

    func decodeNil() -> Bool { false }

    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let (schema, value) = try Probe.describe(type, path: probe.path)
        probe.found = schema
        return value
    }
}
