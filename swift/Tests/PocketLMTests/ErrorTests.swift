import Foundation
import PocketLM
import Testing

@Suite struct ErrorTests {
    private static let cases: [(PocketError, [String])] = [
        (.modelNotFound(path: "/a b", reason: "gone"), ["/a b", "gone"]),
        (.unsupportedModel(what: "mamba"), ["mamba"]),
        (.corruptModel(what: "count 7", location: "general.name"), ["count 7", "general.name"]),
        (.insufficientMemory(needed: 3, available: 2), ["3", "2"]),
        (.contextExceeded(size: 4096, tokens: 5000), ["4096", "5000"]),
        (.templateFailed(reason: "loop"), ["loop"]),
        (.invalidArgument(name: "top_p", reason: "above 1"), ["top_p", "above 1"]),
        (.schemaUnsupported(path: "/a"), ["/a"]),
        (.toolFailed(name: "clock", reason: "stopped"), ["clock", "stopped"]),
        (.sessionFile(.wrongKey, detail: "a file"), ["key", "a file"]),
        (.busy, ["busy"]),
        (.deviceUnavailable(device: "gpu", reason: "none"), ["gpu", "none"]),
        (.deviceLost(reason: "unplugged 🦙"), ["unplugged 🦙"]),
        (.closed, ["closed"]),
        (.internal(reason: "boom"), ["boom"]),
    ]

    @Test(arguments: cases) func theTextNamesTheFields(error: PocketError, words: [String]) {
        for word in words {
            #expect(error.description.contains(word))
            #expect(error.localizedDescription.contains(word))
        }
    }
}
