import Foundation
import PocketLM
import Testing

@Suite(.serialized) struct LifecycleTests {
    private static let advice: [(DeviceConditions, DeviceConditions.Advice)] = [
        (DeviceConditions(), .go),
        (DeviceConditions(heat: .fair), .go),
        (DeviceConditions(heat: .serious), .spare),
        (DeviceConditions(isLowPower: true), .spare),
        (DeviceConditions(heat: .critical), .stop),
        (DeviceConditions(isShortOfMemory: true), .stop),
        (DeviceConditions(isInBackground: true), .stop),
        (DeviceConditions(heat: .serious, isInBackground: true), .stop),
    ]

    @Test(arguments: advice)
    func conditionsGiveAdvice(conditions: DeviceConditions, advice: DeviceConditions.Advice) {
        #expect(conditions.advice == advice)
    }

    @Test func changesAreTold() async {
        let lifecycle = Lifecycle()
        var changes = lifecycle.conditions.makeAsyncIterator()
        #expect(await changes.next() == lifecycle.current)
        lifecycle.update { $0.isLowPower = true }
        #expect(await changes.next()?.isLowPower == true)
        // What does not change anything is not told.
        lifecycle.update { $0.isLowPower = true }
        lifecycle.update { $0.heat = .serious }
        #expect(await changes.next()?.heat == .serious)
    }

    @Test func listenersEndWithTheLifecycle() async {
        var lifecycle: Lifecycle? = Lifecycle()
        let conditions = lifecycle!.conditions
        lifecycle = nil
        var count = 0
        for await _ in conditions { count += 1 }
        #expect(count == 1)
    }

    @Test(.needsModel) func theBackgroundStopsAnswers() async throws {
        let lifecycle = Lifecycle()
        let session = try await RealModel.session()
        lifecycle.add(session)
        var last: Event?
        for try await event in session.stream("Write a long story.", options: .greedy(maxTokens: 900)) {
            if case .text = event { lifecycle.update { $0.isInBackground = true } }
            last = event
        }
        guard case .done(.cancelled, _)? = last else {
            Issue.record("\(String(describing: last))")
            return
        }
        lifecycle.update { $0.isInBackground = false }
        let answer = try await session.respond(to: "Hi", options: short)
        #expect(answer.finish != .cancelled)
    }

    @Test(.needsModel) func sessionsAreNotKeptAlive() async throws {
        let lifecycle = Lifecycle()
        weak var gone: ModelSession?
        do {
            let session = try await RealModel.session()
            gone = session
            lifecycle.add(session)
        }
        #expect(gone == nil)
    }
}
