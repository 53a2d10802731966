import Foundation
import PocketLM

/// Answers one prompt, or talks: `pocketlm-swift [--greedy] [--system TEXT] MODEL [PROMPT]`.
@main
struct Chat {
    static func main() async {
        do {
            let arguments = try Arguments(CommandLine.arguments.dropFirst())
            let model = try await LocalModel.load(arguments.model, options: LoadOptions(device: .cpu))
            try await talk(with: model, arguments)
            await model.close()
        } catch {
            FileHandle.standardError.write(Data("error: \(error.localizedDescription)\n".utf8))
            exit(1)
        }
    }

    /// Answers the prompt, or every line of standard input.
    static func talk(with model: LocalModel, _ arguments: Arguments) async throws {
        let session = try model.session(instructions: arguments.instructions)
        if let prompt = arguments.prompt {
            return try await answer(prompt, session, arguments.options)
        }
        while let line = readLine() {
            do {
                try await answer(line, session, arguments.options)
            } catch let error as PocketError {
                // The session is as it was before: the next line may fit.
                print("(\(error))")
            }
        }
    }

    /// Prints an answer as it is made.
    static func answer(
        _ prompt: String, _ session: ModelSession, _ options: GenerateOptions
    ) async throws {
        for try await event in session.stream(prompt, options: options) {
            if case .text(let delta) = event {
                FileHandle.standardOutput.write(Data(delta.utf8))
            }
        }
        print()
    }
}

/// What the command line says.
struct Arguments {
    var model = URL(fileURLWithPath: "")
    var prompt: String?
    var instructions: String?
    var options = GenerateOptions()

    struct UsageError: LocalizedError {
        let errorDescription: String? =
            "usage: pocketlm-swift [--greedy] [--system TEXT] MODEL [PROMPT]"
    }

    init(_ arguments: some Sequence<String>) throws {
        var rest: [String] = []
        var iterator = arguments.makeIterator()
        while let argument = iterator.next() {
            switch argument {
            case "--greedy": options = .greedy()
            case "--system":
                guard let text = iterator.next() else { throw UsageError() }
                instructions = text
            case _ where argument.hasPrefix("--"): throw UsageError()
            default: rest.append(argument)
            }
        }
        guard let path = rest.first, rest.count <= 2 else { throw UsageError() }
        model = URL(fileURLWithPath: path)
        prompt = rest.dropFirst().first
    }
}
