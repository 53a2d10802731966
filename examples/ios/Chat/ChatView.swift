import SwiftUI
import UniformTypeIdentifiers

struct ChatView: View {
    let chat: ChatModel
    @State private var draft = ""
    @State private var isPicking = false

    var body: some View {
        NavigationStack {
            messages
                .safeAreaInset(edge: .bottom) { footer }
                .navigationTitle("Chat")
                .navigationBarTitleDisplayMode(.inline)
                .toolbar {
                    Button("Open", systemImage: "folder") { isPicking = true }
                        .disabled(chat.phase == .answering)
                }
                .fileImporter(isPresented: $isPicking, allowedContentTypes: [.data]) { result in
                    if case .success(let file) = result { chat.open(file) }
                }
        }
    }

    private var messages: some View {
        ScrollView {
            LazyVStack(spacing: 12) {
                ForEach(chat.lines) { line in
                    Text(line.text.isEmpty ? "…" : line.text)
                        .textSelection(.enabled)
                        .padding(12)
                        .background(line.isUser ? AnyShapeStyle(.tint.opacity(0.2)) : AnyShapeStyle(.quaternary))
                        .clipShape(.rect(cornerRadius: 16))
                        .frame(maxWidth: .infinity, alignment: line.isUser ? .trailing : .leading)
                }
            }
            .padding()
        }
        .defaultScrollAnchor(.bottom)
        .scrollDismissesKeyboard(.interactively)
    }

    @ViewBuilder private var footer: some View {
        VStack(spacing: 8) {
            if let problem = chat.problem {
                Text(problem).font(.footnote).foregroundStyle(.red)
            }
            switch chat.phase {
            case .noModel:
                Text("Open a GGUF file to begin.").foregroundStyle(.secondary)
            case .loading(let done):
                ProgressView("Loading", value: done)
            case .ready, .answering:
                input
            }
        }
        .padding()
        .background(.bar)
    }

    private var input: some View {
        HStack {
            TextField("Message", text: $draft, axis: .vertical)
                .textFieldStyle(.roundedBorder)
                .lineLimit(1...5)
            if chat.phase == .answering {
                Button("Stop", systemImage: "stop.circle.fill") { chat.stop() }
            } else {
                Button("Send", systemImage: "arrow.up.circle.fill") {
                    chat.send(draft)
                    draft = ""
                }
                .disabled(draft.allSatisfy(\.isWhitespace))
            }
        }
        .labelStyle(.iconOnly)
        .font(.title2)
    }
}
