import Foundation
import Observation
import PocketLM

/// A conversation with a model that the user picked.
@MainActor @Observable
final class ChatModel {
    /// What the app is doing.
    enum Phase: Equatable {
        case noModel
        case loading(Double)
        case ready
        case answering
    }

    /// A message as it is shown.
    struct Line: Identifiable {
        let id = UUID()
        let isUser: Bool
        var text: String
    }

    private(set) var phase = Phase.noModel
    private(set) var lines: [Line] = []
    /// What went wrong last, for people.
    private(set) var problem: String?

    private var model: LocalModel?
    private var session: ModelSession?
    private var work: Task<Void, Never>?
    private let lifecycle = Lifecycle()

    /// Loads a model, in place of the one before.
    func open(_ file: URL) {
        guard phase == .noModel || phase == .ready else { return }
        problem = nil
        phase = .loading(0)
        work = Task {
            await model?.close()
            // A file of another app is readable as long as this is held.
            let isScoped = file.startAccessingSecurityScopedResource()
            defer { if isScoped { file.stopAccessingSecurityScopedResource() } }
            do {
                let model = try await LocalModel.load(file) { done in
                    Task { @MainActor in self.report(done) }
                }
                let session = try model.session(instructions: "You are a helpful assistant.")
                lifecycle.add(session)
                (self.model, self.session, lines) = (model, session, [])
                phase = .ready
            } catch {
                (model, session, phase) = (nil, nil, .noModel)
                show(error)
            }
        }
    }

    /// Sends a message, and shows the answer as it is made.
    func send(_ prompt: String) {
        guard let session, phase == .ready else { return }
        problem = nil
        phase = .answering
        lines += [Line(isUser: true, text: prompt), Line(isUser: false, text: "")]
        work = Task {
            do {
                for try await event in session.stream(prompt) {
                    switch event {
                    case .text(let delta): lines[lines.count - 1].text += delta
                    case .done(.cancelled, _): lines.removeLast(2)
                    default: break
                    }
                }
            } catch {
                // The turn is forgotten by the session, and here.
                lines.removeLast(2)
                show(error)
            }
            phase = .ready
        }
    }

    /// Stops the answer in progress.
    func stop() {
        work?.cancel()
    }

    private func report(_ done: Double) {
        if case .loading = phase { phase = .loading(done) }
    }

    private func show(_ error: any Error) {
        switch error {
        case is CancellationError:
            break
        case PocketError.contextExceeded:
            problem = "This conversation is full. Open the model again to begin a new one."
        case PocketError.insufficientMemory(let needed, _):
            let size = ByteCountFormatter.string(fromByteCount: Int64(needed), countStyle: .memory)
            problem = "This model needs \(size) of memory, more than there is."
        default:
            problem = error.localizedDescription
        }
    }
}
