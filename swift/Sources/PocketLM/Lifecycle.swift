import Foundation

#if canImport(UIKit) && !os(watchOS)
    import UIKit
#endif

/// Watches the device, and stops answers when it is not the time for them: in the background, when
/// the system is short of memory, and when the device is too hot.
///
/// ```swift
/// let lifecycle = Lifecycle()
/// lifecycle.add(session)
/// for await conditions in lifecycle.conditions {
///     showsHeatWarning = conditions.heat >= .serious
/// }
/// ```
///
/// Keep it as long as it shall watch. A stopped answer ends with ``FinishReason/cancelled``, its turn is
/// forgotten, and the session can be asked again later.
public final class Lifecycle: Sendable {
    private struct State {
        var conditions = DeviceConditions()
        var sessions: [Weak] = []
        var listeners: [UUID: AsyncStream<DeviceConditions>.Continuation] = [:]
    }

    private struct Weak: Sendable {
        weak var session: ModelSession?
    }

    private let state = Locked(State())
    private let observers = Locked<[Observer]>([])

    /// Begins to watch.
    public init() {
        #if canImport(Darwin)
            observe()
        #endif
    }

    deinit {
        for observer in observers.with({ $0 }) {
            NotificationCenter.default.removeObserver(observer.token)
        }
        for listener in state.with({ Array($0.listeners.values) }) {
            listener.finish()
        }
    }

    /// The conditions of the moment.
    public var current: DeviceConditions {
        state.with { $0.conditions }
    }

    /// The conditions, now and at every change.
    public var conditions: AsyncStream<DeviceConditions> {
        let id = UUID()
        return AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            state.with {
                $0.listeners[id] = continuation
                continuation.yield($0.conditions)
            }
            continuation.onTermination = { [weak self] _ in
                self?.state.with { _ = $0.listeners.removeValue(forKey: id) }
            }
        }
    }

    /// Lets the session's answers be stopped when the conditions ask for it. The session is not kept
    /// alive.
    public func add(_ session: ModelSession) {
        let stop = state.with { state in
            state.sessions.removeAll { $0.session == nil }
            state.sessions.append(Weak(session: session))
            return state.conditions.advice == .stop
        }
        if stop { session.cancel() }
    }

    /// Takes note of a change. The class does so itself on Apple's systems; an app calls this where it
    /// knows more than the system says, and tests do.
    public func update(_ change: (inout DeviceConditions) -> Void) {
        let (stopped, listeners, conditions) = state.with { state in
            let before = state.conditions
            change(&state.conditions)
            let after = state.conditions
            let stops = after != before && after.advice == .stop
            return (
                stops ? state.sessions.compactMap(\.session) : [],
                after == before ? [] : Array(state.listeners.values),
                after
            )
        }
        for session in stopped { session.cancel() }
        for listener in listeners { listener.yield(conditions) }
    }

    /// A registration with the notification center, which may be ended on any thread.
    private struct Observer: @unchecked Sendable {
        let token: any NSObjectProtocol
    }
}

#if canImport(Darwin)
    extension Lifecycle {
        private func observe() {
            let info = ProcessInfo.processInfo
            on(ProcessInfo.thermalStateDidChangeNotification) { $0.heat = .now }
            on(Notification.Name.NSProcessInfoPowerStateDidChange) {
                $0.isLowPower = ProcessInfo.processInfo.isLowPowerModeEnabled
            }
            update {
                $0.heat = .now
                $0.isLowPower = info.isLowPowerModeEnabled
            }
            #if canImport(UIKit) && !os(watchOS)
                on(UIApplication.didReceiveMemoryWarningNotification) { $0.isShortOfMemory = true }
                on(UIApplication.didEnterBackgroundNotification) { $0.isInBackground = true }
                on(UIApplication.willEnterForegroundNotification) {
                    $0.isInBackground = false
                    // The system tells when memory is short, but not when that is over.
                    $0.isShortOfMemory = false
                }
            #endif
        }

        private func on(
            _ name: Notification.Name, _ change: @escaping @Sendable (inout DeviceConditions) -> Void
        ) {
            let token = NotificationCenter.default.addObserver(
                forName: name, object: nil, queue: nil
            ) { [weak self] _ in
                self?.update(change)
            }
            observers.with { $0.append(Observer(token: token)) }
        }
    }

    extension DeviceConditions.Heat {
        fileprivate static var now: Self {
            switch ProcessInfo.processInfo.thermalState {
            case .nominal: .nominal
            case .fair: .fair
            case .serious: .serious
            case .critical: .critical
            @unknown default: .critical
            }
        }
    }
#endif
