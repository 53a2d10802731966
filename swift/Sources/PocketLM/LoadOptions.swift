internal import PocketLMInternal

/// How to load a model.
public struct LoadOptions: Sendable, Hashable {
    /// Where to run.
    public var device: Device
    /// CPU threads; `nil` takes as many as the process may run at once.
    public var threads: Int?
    /// Positions, in tokens, that a session may use: up to what the model was made for. `nil` takes
    /// 4,096, or all if there are fewer.
    public var context: Int?
    /// How keys and values are kept.
    public var cache: CacheType

    /// Options for loading.
    public init(
        device: Device = .auto,
        threads: Int? = nil,
        context: Int? = nil,
        cache: CacheType = .f16
    ) {
        self.device = device
        self.threads = threads
        self.context = context
        self.cache = cache
    }

    /// Where a model runs.
    public enum Device: Sendable, Hashable, CaseIterable {
        /// The GPU where there is a real one, else the CPU, with a ``Notice``.
        case auto
        /// SIMD kernels on the CPU.
        case cpu
        /// The GPU; an error when it cannot be used.
        case gpu
        /// A slow, exact evaluator, for comparisons.
        case reference
    }

    /// How a session's keys and values are kept in memory.
    public enum CacheType: Sendable, Hashable, CaseIterable {
        /// Two bytes an element.
        case f16
        /// About one byte an element: half the memory, slightly less exact. On the CPU only.
        case q8
        /// Four bytes an element. On the CPU only.
        case f32
    }

    var foreign: PocketLMInternal.LoadOptions {
        get throws {
            PocketLMInternal.LoadOptions(
                device: device.foreign,
                threads: try threads.map { try count($0, "threads") },
                context: try context.map { try count($0, "context") },
                kv: cache.foreign)
        }
    }
}

extension LoadOptions.Device {
    var foreign: PocketLMInternal.DeviceChoice {
        switch self {
        case .auto: .auto
        case .cpu: .cpu
        case .gpu: .gpu
        case .reference: .reference
        }
    }
}

extension LoadOptions.CacheType {
    init(_ type: PocketLMInternal.KvType) {
        switch type {
        case .f16: self = .f16
        case .q80: self = .q8
        case .f32: self = .f32
        }
    }

    var foreign: PocketLMInternal.KvType {
        switch self {
        case .f16: .f16
        case .q8: .q80
        case .f32: .f32
        }
    }
}

/// A count in the form of the border, which has no negative ones.
func count(_ value: Int, _ name: String) throws -> UInt32 {
    guard let count = UInt32(exactly: value) else {
        throw PocketError.invalidArgument(name: name, reason: "\(value) is no possible count")
    }
    return count
}
