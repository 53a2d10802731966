/// What state the device is in, as far as it matters to an app that generates.
public struct DeviceConditions: Sendable, Hashable {
    /// How hot it is.
    public var heat: Heat
    /// Whether the user has switched low power mode on.
    public var isLowPower: Bool
    /// Whether the system has asked for memory lately.
    public var isShortOfMemory: Bool
    /// Whether the app is in the background.
    public var isInBackground: Bool

    /// How hot a device is, in the system's steps.
    public enum Heat: Int, Sendable, Hashable, Comparable, CaseIterable {
        /// As it should be.
        case nominal
        /// Slightly raised.
        case fair
        /// High: the system slows itself down.
        case serious
        /// The device needs to cool down now.
        case critical

        /// Whether it is cooler.
        public static func < (left: Heat, right: Heat) -> Bool { left.rawValue < right.rawValue }
    }

    /// Conditions; by default those in which nothing is wrong.
    public init(
        heat: Heat = .nominal,
        isLowPower: Bool = false,
        isShortOfMemory: Bool = false,
        isInBackground: Bool = false
    ) {
        self.heat = heat
        self.isLowPower = isLowPower
        self.isShortOfMemory = isShortOfMemory
        self.isInBackground = isInBackground
    }

    /// What to do about them.
    public var advice: Advice {
        if heat == .critical || isInBackground || isShortOfMemory {
            return .stop
        }
        return heat == .serious || isLowPower ? .spare : .go
    }

    /// What an app should do.
    public enum Advice: Sendable, Hashable, CaseIterable {
        /// Nothing speaks against generating.
        case go
        /// Generate what the user waits for, and nothing in advance.
        case spare
        /// Stop answers in progress. In the background iOS allows no work on the GPU, and ends apps
        /// that use much memory first.
        case stop
    }
}
